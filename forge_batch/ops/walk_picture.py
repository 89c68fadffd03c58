"""Draw a character in mid-stride, so that a person sees at once whether its skin follows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import UInt8

from forge_batch.ops.measure_rig import WALKS
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.normals import split_vertex_normals
from forge_batch.ops.render import Maps, on_paper, render
from forge_batch.ops.rig import Rig, posed
from forge_batch.ops.walk import walk_pose

AZIMUTHS = (0.0, 45.0, 90.0, 180.0)
PHASE = 0.25
SIZE = 320


def draw_walk(rig: Rig, mesh: Mesh, maps: Maps) -> UInt8[np.ndarray, "H W 3"] | None:
    """Draw a posed mesh from four sides, side by side; None where the Mannequin's legs and arms are missing.

    Args:
        rig: For the mesh's vertices, with the Mannequin's names.
        mesh: In bind pose.
        maps: Its textures; a normal map is left out, for the pose turns the tangents it needs.
    """
    if not set(WALKS) <= set(rig.names):
        return None
    points = posed(rig, mesh.vertices, walk_pose(rig, PHASE)).astype(np.float32)
    bent = replace(mesh, vertices=points, normals=split_vertex_normals(points, mesh.faces), tangents=None)
    return np.hstack([on_paper(render(bent, maps, azimuth, 5.0, SIZE, azimuth - 35.0)) for azimuth in AZIMUTHS])
