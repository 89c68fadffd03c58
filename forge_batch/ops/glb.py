"""Write a textured mesh, with skeleton, further levels, collision solids and sockets where wanted, as binary glTF 2.0.

Through pygltflib: trimesh would write TANGENT under a name that engines ignore, and the shared
occlusion-roughness-metallic image twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pygltflib as gltf

from forge_batch.ops.draco import Packed
from forge_batch.ops.glb_file import (
    BASE_COLOR,
    NORMAL,
    ORM,
    WEBP,
    Blob,
    Look,
    add_material,
    add_skeleton,
    add_solid,
    add_surface,
)
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.rig import Rig, bound_to, hung, rig_fault
from forge_batch.ops.sheet import by_atlas
from forge_batch.ops.writable import check_hull, check_surface

__all__ = ["BASE_COLOR", "DRACO", "NORMAL", "ORM", "WEBP", "Look", "encode_glb", "encode_web_glb"]

DRACO = "KHR_draco_mesh_compression"


def encode_glb(
    name: str,
    mesh: Mesh,
    looks: Sequence[Look],
    solids: Mapping[str, Mesh] | None = None,
    points: Mapping[str, Sequence[float]] | None = None,
    rig: Rig | None = None,
) -> bytes:
    """Give the bytes of a GLB with one textured mesh, its materials and their PNGs inside; same input, same bytes.

    Args:
        name: Of the node and the mesh.
        mesh: In metres, +Y up, with uv (origin top left), normals and tangents.
        looks: Its materials: one, or one for each atlas that its faces lie on.
        solids: Convex meshes by name, each a node beside the mesh with a plain material; only positions are used.
        points: Places by name, each an empty node below the mesh, or below the nearest joint.
        rig: For the vertices of the mesh; None for what is not to be bent.

    Raises:
        ValueError: The mesh lacks uv, normals or tangents, or is degenerate, see check_surface, or its rig does not fit (a bug
            of the caller).
    """
    check_surface(mesh, name)
    if rig and (fault := rig_fault(rig, len(mesh.vertices))):
        raise ValueError(f"{name}: {fault}")
    file = gltf.GLTF2(asset=gltf.Asset(version="2.0", generator="forge_batch"))
    blob = Blob(file)
    parts = [(number, part, rig and bound_to(rig, kept)) for number, part, kept in by_atlas(mesh)]
    file.meshes = [gltf.Mesh(name=name, primitives=[add_surface(blob, part, own, number) for number, part, own in parts])]
    for look in looks:
        add_material(blob, look)
    for label, solid in (solids or {}).items():
        check_hull(solid, label)
        file.meshes.append(gltf.Mesh(name=label, primitives=[add_solid(blob, solid)]))
    roots = _add_nodes(file, [name, *(solids or {})], rig is not None)
    bones = [add_skeleton(blob, rig)] if rig else []
    _add_points(file, points or {}, rig)
    file.scenes = [gltf.Scene(nodes=[*roots, *bones])]
    return _finished(blob)


def encode_web_glb(
    name: str,
    packed: Mapping[int, Packed],
    looks: Sequence[Look],
    points: Mapping[str, Sequence[float]] | None = None,
    rig: Rig | None = None,
) -> bytes:
    """Give the bytes of a GLB whose mesh is packed by Draco, a part for each look by its number, and whose textures are WebP.

    `rig` is the one whose bindings were packed with the mesh.
    """
    file = gltf.GLTF2(asset=gltf.Asset(version="2.0", generator="forge_batch"))
    file.extensionsUsed = [DRACO, WEBP] if any(look.textures for look in looks) else [DRACO]
    file.extensionsRequired = list(file.extensionsUsed)
    blob = Blob(file)
    file.meshes = [gltf.Mesh(name=name, primitives=[_add_packed(blob, part, number) for number, part in packed.items()])]
    for look in looks:
        add_material(blob, look, "image/webp")
    roots = _add_nodes(file, [name], rig is not None)
    bones = [add_skeleton(blob, rig)] if rig else []
    _add_points(file, points or {}, rig)
    file.scenes = [gltf.Scene(nodes=[*roots, *bones])]
    return _finished(blob)


def _add_packed(blob: Blob, packed: Packed, material: int) -> gltf.Primitive:
    """Put a compressed mesh into the file."""
    file, first = blob.file, len(blob.file.accessors)
    for attribute, (kind, width) in packed.kinds.items():
        accessor = gltf.Accessor(byteOffset=None, componentType=kind, count=packed.vertices, type=f"VEC{width}")
        if attribute == "POSITION":
            accessor.min, accessor.max = list(packed.low), list(packed.high)
        file.accessors.append(accessor)
    count = 3 * packed.triangles
    indices = len(file.accessors)
    file.accessors.append(gltf.Accessor(byteOffset=None, componentType=gltf.UNSIGNED_INT, count=count, type=gltf.SCALAR))
    attributes = gltf.Attributes(**{attribute: first + index for index, attribute in enumerate(packed.kinds)})
    stored = {"bufferView": blob.add_view(packed.data), "attributes": dict(packed.ids)}
    return gltf.Primitive(attributes=attributes, indices=indices, material=material, extensions={DRACO: stored})


def _add_nodes(file: gltf.GLTF2, names: Sequence[str], skinned: bool) -> list[int]:
    """Add a node for each mesh, the first one bound to the skin where it is skinned, and give their numbers."""
    file.nodes = [gltf.Node(name=name, mesh=index) for index, name in enumerate(names)]
    file.nodes[0].skin = 0 if skinned else None
    return list(range(len(names)))


def _add_points(file: gltf.GLTF2, points: Mapping[str, Sequence[float]], rig: Rig | None) -> None:
    """Add an empty node for each place, below the first node or below the nearest joint."""
    for label, place in points.items():
        joint, offset = hung(rig, place) if rig else (0, [float(x) for x in place])
        file.nodes[file.skins[0].joints[joint] if rig else 0].children.append(len(file.nodes))
        file.nodes.append(gltf.Node(name=label, translation=offset))


def _finished(blob: Blob) -> bytes:
    blob.file.scene = 0
    blob.file.buffers = [gltf.Buffer(byteLength=len(blob.data))]
    blob.file.set_binary_blob(bytes(blob.data))
    return b"".join(blob.file.save_to_bytes())
