"""Write a static mesh with levels of detail and collision hulls as binary FBX.

Our own, because no library at hand writes an FBX that ufbx, three.js and Blender all read right: assimp 5.2's is refused by two
of them, assimp 6.0's is 100 times too small and has no tangents, trimesh writes none.

For Unreal the file's frame is declared as right-handed, +Z up, "front" -Y, centimetres (UpAxis 2, FrontAxis -1, CoordAxis 0,
UnitScaleFactor 1). That is the very frame Unreal converts every scene into before it reads it, so its conversion is the
identity. For Unity it is +Y up, "front" +Z, metres (UnitScaleFactor 100), which Unity reads at scale 1 and without turning the
root; it only negates X. FBX UVs have V up: V is turned round here. Binormals point up V, which is also up the picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from forge_batch.ops.fbx_geometry import hull, surface
from forge_batch.ops.fbx_graph import ROOT, Graph
from forge_batch.ops.fbx_header import METRES_Y_UP, UNREAL, Frame
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.writable import check_hull, check_surface

__all__ = ["METRES_Y_UP", "UNREAL", "FbxScene", "encode_fbx", "encode_hulls", "level_name"]


@dataclass(frozen=True, eq=False)
class FbxScene:
    """Be what one FBX file holds: one asset, in the file's own frame and unit.

    Attributes:
        name: Of the asset. LOD0's object and mesh data bear exactly this name, since Unreal matches hulls against it and takes
            the asset's name from it; the others get `_LOD1`, `_LOD2`, the group `_LodGroup`, hulls `UCX_<name>_00` onwards.
        lods: The finest first, with uv, normals and tangents; with lightmap_uv these become a second UV set. A single one is
            written without a group.
        thresholds: Distances at which LOD1, LOD2, ... take over; one less than `lods`.
        hulls: Convex and closed; only positions are used.
        materials: The slots that all levels share, one or one for each atlas that faces lie on: by name, file name (relative to
            the FBX) by FBX material property (`DiffuseColor`, `NormalMap`, ...).
        sockets: Position by name; an empty object `SOCKET_<name>` below LOD0, as Unreal wants it.
        frame: Axes and unit that the file declares.
        grouped: Whether levels stand in an LOD group. Otherwise they stand side by side as `_LOD0`, `_LOD1`, ..., from which
            Unity builds a group; a single one has the asset's bare name.
    """

    name: str
    lods: Sequence[Mesh]
    thresholds: Sequence[float]
    hulls: Sequence[Mesh]
    materials: Mapping[str, Mapping[str, str]]
    sockets: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    frame: Frame = UNREAL
    grouped: bool = True

    def level_name(self, level: int) -> str:
        """Name an LOD's object and mesh data."""
        return level_name(self.name, level, len(self.lods), self.grouped)


def level_name(name: str, level: int, levels: int, grouped: bool) -> str:
    """Name one of an asset's levels: LOD0 bears the asset's name in a group or alone, else `_LOD0` as the others do."""
    return name if level == 0 and (grouped or levels == 1) else f"{name}_LOD{level}"


def encode_fbx(scene: FbxScene) -> bytes:
    """Give the bytes of an FBX 7.4 binary file; same scene, same bytes.

    Triangles only, normals, tangents and binormals per corner, one smoothing group, one UV set or two, identity transforms.
    Positions that are exactly equal become one control point, so seams stay closed.

    Raises:
        ValueError: There is no level, one lacks uv, normals or tangents or is degenerate, a hull is flat, or the thresholds are
            not one fewer than levels, positive and growing (a bug of the caller).
    """
    _check(scene)
    graph = Graph()
    slots = [graph.add_material(name, textures) for name, textures in scene.materials.items()]
    parent = graph.add_lod_group(f"{scene.name}_LodGroup", scene.thresholds) if scene.grouped and scene.thresholds else ROOT
    for level, mesh in enumerate(scene.lods):
        number = graph.add_mesh(scene.level_name(level), surface(mesh), parent)
        for slot in slots:  # a face's material is counted in the order of these
            graph.connect(slot, number)
        if level == 0:
            for name, place in scene.sockets.items():
                graph.add_empty(f"SOCKET_{name}", place, number)
    for index, mesh in enumerate(scene.hulls):
        graph.add_mesh(f"UCX_{scene.name}_{index:02d}", hull(mesh), ROOT)
    return graph.encode(scene.frame)


def encode_hulls(name: str, hulls: Sequence[Mesh], frame: Frame) -> bytes:
    """Give the bytes of an FBX that holds collision hulls alone, as `<name>_00` onwards.

    Raises:
        ValueError: A hull is flat (a bug of the caller).
    """
    graph = Graph()
    for index, mesh in enumerate(hulls):
        check_hull(mesh, f"hull {index} of {name}")
        graph.add_mesh(f"{name}_{index:02d}", hull(mesh), ROOT)
    return graph.encode(frame)


def _check(scene: FbxScene) -> None:
    """Refuse what no reader could make sense of."""
    if not scene.lods:
        raise ValueError("an FBX needs at least one level")
    if len(scene.thresholds) != len(scene.lods) - 1:
        raise ValueError(f"{len(scene.lods)} levels need {len(scene.lods) - 1} thresholds, not {len(scene.thresholds)}")
    distances = np.array([0.0, *scene.thresholds])
    if not np.isfinite(distances).all() or not (np.diff(distances) > 0).all():
        raise ValueError(f"thresholds must be positive and grow, not {list(scene.thresholds)}")
    for level, mesh in enumerate(scene.lods):
        check_surface(mesh, f"level {level} of {scene.name}")
    for index, solid in enumerate(scene.hulls):
        check_hull(solid, f"hull {index} of {scene.name}")
