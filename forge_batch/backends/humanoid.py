"""Rig an upright figure without weights: the embedded rigger.

A skeleton is fitted to what can be measured in the solid (ops.humanoid), and skin is bound to it by the way through the inside
(ops.geodesic_skin). It knows A-pose and T-pose; what is neither is refused.
"""

from __future__ import annotations

from collections.abc import Callable

from forge_batch.backends.contract import BackendInfo
from forge_batch.ops.geodesic_skin import bind_skin
from forge_batch.ops.humanoid import fit_humanoid, humanoid_bones, upright_solid
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.rig import Rig, Rigged

info = BackendInfo("humanoid", "1", "MIT", commercial=True, territory="worldwide")


def make_rig(mesh: Mesh, progress: Callable[[float, str], None]) -> Rigged:
    """Give a skeleton with the Mannequin's names, and weights for every vertex.

    Args:
        mesh: In house space, standing upright and facing +Z.
        progress: Told a fraction and a few words.

    Raises:
        StageError: It is no upright figure in A-pose or T-pose; says what was measured.
    """
    progress(0.0, "finding limbs")
    solid = upright_solid(mesh)
    found = fit_humanoid(solid)
    progress(0.3, "binding skin")
    influences, weights = bind_skin(mesh, solid, humanoid_bones(found))
    rig = Rig(found.names, found.joints, found.parents, influences, weights)
    confidence = {name: float(sure) for name, sure in zip(found.names, found.confidence, strict=True)}
    return Rigged(rig, confidence, {})
