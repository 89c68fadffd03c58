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
    add_material,
    add_skeleton,
    add_solid,
    add_surface,
)
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.rig import Rig, rig_fault
from forge_batch.ops.writable import check_hull, check_surface

__all__ = ["BASE_COLOR", "DRACO", "NORMAL", "ORM", "WEBP", "encode_glb", "encode_web_glb"]

DRACO = "KHR_draco_mesh_compression"


def encode_glb(
    name: str,
    mesh: Mesh,
    textures: Mapping[str, bytes],
    material: str,
    image_names: Mapping[str, str] | None = None,
    solids: Mapping[str, Mesh] | None = None,
    points: Mapping[str, Sequence[float]] | None = None,
    levels: Mapping[str, Mesh] | None = None,
    rigs: Sequence[Rig] = (),
    apart: bool = False,
) -> bytes:
    """Give the bytes of a GLB with one textured mesh, one material and its PNGs inside; same input, same bytes.

    Args:
        name: Of the node and the mesh.
        mesh: In metres, +Y up, with uv (origin top left), normals and tangents.
        textures: PNG bytes by `base_color` (sRGB), `normal` (OpenGL, Y+), `orm` (occlusion, roughness, metallic), any missing.
        material: Name of the material.
        image_names: Names of the images, from which engines name texture assets, by the keys of `textures`; a key without
            one names its image itself.
        solids: Convex meshes without material by name, each a node beside the mesh; only positions are used.
        points: Places by name, each an empty node below the mesh.
        levels: Coarser meshes by name, in a scene of their own, `<name>_LODs`, which is not the one that is shown.
        rigs: For the vertices of the mesh and of each level, all of the same joints; none for what is not to be bent.
        apart: Whether solids stand in a scene of their own too, `<name>_Collision`.

    Raises:
        ValueError: A mesh lacks uv, normals or tangents, or is degenerate, see check_surface, or its rig does not fit (a bug of
            the caller).
    """
    file = gltf.GLTF2(asset=gltf.Asset(version="2.0", generator="forge_batch"))
    blob = Blob(file)
    surfaces = {name: mesh, **(levels or {})}
    for index, (label, one) in enumerate(surfaces.items()):
        check_surface(one, label)
        rig = rigs[index] if rigs else None
        if rig and (fault := rig_fault(rig, len(one.vertices))):
            raise ValueError(f"{label}: {fault}")
        file.meshes.append(gltf.Mesh(name=label, primitives=[add_surface(blob, one, rig)]))
    file.materials = [add_material(blob, textures, material, image_names or {})]
    shown = _add_nodes(file, [name], 0, bool(rigs))
    for label, solid in (solids or {}).items():
        check_hull(solid, label)
        file.meshes.append(gltf.Mesh(name=label, primitives=[add_solid(blob, solid)]))
    shapes = _add_nodes(file, list(solids or {}), len(surfaces))
    coarse = _add_nodes(file, list(levels or {}), 1, bool(rigs))
    for label, place in (points or {}).items():
        file.nodes[0].children.append(len(file.nodes))
        file.nodes.append(gltf.Node(name=label, translation=[float(x) for x in place]))
    bones = [add_skeleton(blob, rigs[0])] if rigs else []
    file.scenes = [gltf.Scene(nodes=[*shown, *([] if apart else shapes), *bones])]
    if coarse or apart:
        file.scenes[0].name = f"{name}_LOD0"  # not the mesh's own name: three.js would give that node another one
    if coarse:
        file.scenes.append(gltf.Scene(name=f"{name}_LODs", nodes=[*coarse, *bones]))
    if apart and shapes:
        file.scenes.append(gltf.Scene(name=f"{name}_Collision", nodes=shapes))
    return _finished(blob)


def encode_web_glb(
    name: str,
    packed: Packed,
    textures: Mapping[str, bytes],
    material: str,
    image_names: Mapping[str, str],
    rig: Rig | None = None,
) -> bytes:
    """Give the bytes of a GLB whose mesh is packed by Draco and whose textures are WebP, by the keys of `encode_glb`.

    `rig` is the one whose bindings were packed with the mesh.
    """
    file = gltf.GLTF2(asset=gltf.Asset(version="2.0", generator="forge_batch"))
    file.extensionsUsed = [DRACO, WEBP] if textures else [DRACO]
    file.extensionsRequired = list(file.extensionsUsed)
    blob = Blob(file)
    for attribute, (kind, width) in packed.kinds.items():
        accessor = gltf.Accessor(byteOffset=None, componentType=kind, count=packed.vertices, type=f"VEC{width}")
        if attribute == "POSITION":
            accessor.min, accessor.max = list(packed.low), list(packed.high)
        file.accessors.append(accessor)
    count = 3 * packed.triangles
    file.accessors.append(gltf.Accessor(byteOffset=None, componentType=gltf.UNSIGNED_INT, count=count, type=gltf.SCALAR))
    attributes = gltf.Attributes(**{attribute: index for index, attribute in enumerate(packed.kinds)})
    stored = {"bufferView": blob.add_view(packed.data), "attributes": dict(packed.ids)}
    primitive = gltf.Primitive(attributes=attributes, indices=len(packed.kinds), material=0, extensions={DRACO: stored})
    file.materials = [add_material(blob, textures, material, image_names, "image/webp")]
    file.meshes = [gltf.Mesh(name=name, primitives=[primitive])]
    shown = _add_nodes(file, [name], 0, rig is not None)
    bones = [add_skeleton(blob, rig)] if rig else []
    file.scenes = [gltf.Scene(nodes=[*shown, *bones])]
    return _finished(blob)


def _add_nodes(file: gltf.GLTF2, names: Sequence[str], first: int, skinned: bool = False) -> list[int]:
    """Add a node for each of the meshes from `first` on, and give their numbers."""
    start = len(file.nodes)
    file.nodes += [gltf.Node(name=name, mesh=first + k, skin=0 if skinned else None) for k, name in enumerate(names)]
    return list(range(start, len(file.nodes)))


def _finished(blob: Blob) -> bytes:
    blob.file.scene = 0
    blob.file.buffers = [gltf.Buffer(byteLength=len(blob.data))]
    blob.file.set_binary_blob(bytes(blob.data))
    return b"".join(blob.file.save_to_bytes())
