"""Write a textured mesh, with collision solids and sockets where wanted, as binary glTF 2.0.

Through pygltflib: trimesh would write TANGENT under a name that engines ignore, and the shared
occlusion-roughness-metallic image twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pygltflib as gltf

from forge_batch.ops.draco import Packed
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.writable import check_hull, check_surface

DRACO, WEBP = "KHR_draco_mesh_compression", "EXT_texture_webp"
BASE_COLOR, NORMAL, ORM = "base_color", "normal", "orm"


def encode_glb(
    name: str,
    mesh: Mesh,
    textures: Mapping[str, bytes],
    material: str,
    image_names: Mapping[str, str] | None = None,
    solids: Mapping[str, Mesh] | None = None,
    points: Mapping[str, Sequence[float]] | None = None,
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

    Raises:
        ValueError: The mesh lacks uv, normals or tangents, or is degenerate, see check_surface (a bug of the caller).
    """
    check_surface(mesh, name)
    assert mesh.uv is not None
    assert mesh.normals is not None
    assert mesh.tangents is not None
    file = gltf.GLTF2(asset=gltf.Asset(version="2.0", generator="forge_batch"))
    blob = _Blob(file)
    attributes = gltf.Attributes(
        POSITION=blob.add_vectors(mesh.vertices, bounds=True),
        NORMAL=blob.add_vectors(_unit(mesh.normals)),
        TANGENT=blob.add_vectors(np.hstack([_unit(mesh.tangents[:, :3]), mesh.tangents[:, 3:]])),
        TEXCOORD_0=blob.add_vectors(mesh.uv),
        TEXCOORD_1=None if mesh.lightmap_uv is None else blob.add_vectors(mesh.lightmap_uv),
    )
    indices = blob.add_indices(mesh.faces)
    file.materials = [_material(blob, textures, material, image_names or {})]
    file.meshes = [gltf.Mesh(name=name, primitives=[gltf.Primitive(attributes=attributes, indices=indices, material=0)])]
    file.nodes = [gltf.Node(name=name, mesh=0)]
    for label, solid in (solids or {}).items():
        check_hull(solid, label)
        shape = gltf.Attributes(POSITION=blob.add_vectors(solid.vertices, bounds=True))
        file.meshes.append(
            gltf.Mesh(name=label, primitives=[gltf.Primitive(attributes=shape, indices=blob.add_indices(solid.faces))])
        )
        file.nodes.append(gltf.Node(name=label, mesh=len(file.meshes) - 1))
    roots = list(range(len(file.nodes)))
    if points:
        file.nodes[0].children = [len(roots) + k for k in range(len(points))]
        file.nodes += [gltf.Node(name=label, translation=[float(x) for x in place]) for label, place in points.items()]
    file.scenes = [gltf.Scene(nodes=roots)]
    file.scene = 0
    file.buffers = [gltf.Buffer(byteLength=len(blob.data))]
    file.set_binary_blob(bytes(blob.data))
    return b"".join(file.save_to_bytes())


def encode_web_glb(
    name: str, packed: Packed, textures: Mapping[str, bytes], material: str, image_names: Mapping[str, str]
) -> bytes:
    """Give the bytes of a GLB whose mesh is packed by Draco and whose textures are WebP, by the keys of `encode_glb`."""
    file = gltf.GLTF2(asset=gltf.Asset(version="2.0", generator="forge_batch"))
    file.extensionsUsed = [DRACO, WEBP] if textures else [DRACO]
    file.extensionsRequired = list(file.extensionsUsed)
    blob = _Blob(file)
    shapes = {"POSITION": 3, "NORMAL": 3, "TANGENT": 4, "TEXCOORD_0": 2}
    for attribute, width in shapes.items():
        accessor = gltf.Accessor(byteOffset=None, componentType=gltf.FLOAT, count=packed.vertices, type=f"VEC{width}")
        if attribute == "POSITION":
            accessor.min, accessor.max = list(packed.low), list(packed.high)
        file.accessors.append(accessor)
    count = 3 * packed.triangles
    file.accessors.append(gltf.Accessor(byteOffset=None, componentType=gltf.UNSIGNED_INT, count=count, type=gltf.SCALAR))
    attributes = gltf.Attributes(**{attribute: index for index, attribute in enumerate(shapes)})
    stored = {"bufferView": blob.add_view(packed.data), "attributes": dict(packed.ids)}
    primitive = gltf.Primitive(attributes=attributes, indices=len(shapes), material=0, extensions={DRACO: stored})
    file.materials = [_material(blob, textures, material, image_names, "image/webp")]
    file.meshes = [gltf.Mesh(name=name, primitives=[primitive])]
    file.nodes = [gltf.Node(name=name, mesh=0)]
    file.scenes, file.scene = [gltf.Scene(nodes=[0])], 0
    file.buffers = [gltf.Buffer(byteLength=len(blob.data))]
    file.set_binary_blob(bytes(blob.data))
    return b"".join(file.save_to_bytes())


def _unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


class _Blob:
    """Collect the bytes of the one buffer, each view aligned to four."""

    def __init__(self, file: gltf.GLTF2) -> None:
        self.file = file
        self.data = bytearray()

    def add_view(self, data: bytes, target: int | None = None) -> int:
        view = gltf.BufferView(buffer=0, byteOffset=len(self.data), byteLength=len(data), target=target)
        self.file.bufferViews.append(view)
        self.data += data + b"\0" * (-len(data) % 4)
        return len(self.file.bufferViews) - 1

    def add_vectors(self, values: np.ndarray, bounds: bool = False) -> int:
        values = np.ascontiguousarray(values, np.float32)
        accessor = gltf.Accessor(
            bufferView=self.add_view(values.tobytes(), gltf.ARRAY_BUFFER),
            componentType=gltf.FLOAT,
            count=len(values),
            type=f"VEC{values.shape[1]}",
        )
        if bounds:
            accessor.min, accessor.max = values.min(axis=0).tolist(), values.max(axis=0).tolist()
        self.file.accessors.append(accessor)
        return len(self.file.accessors) - 1

    def add_indices(self, faces: np.ndarray) -> int:
        small = faces.max(initial=0) < 0xFFFF
        values = np.ascontiguousarray(faces.ravel(), np.uint16 if small else np.uint32)
        accessor = gltf.Accessor(
            bufferView=self.add_view(values.tobytes(), gltf.ELEMENT_ARRAY_BUFFER),
            componentType=gltf.UNSIGNED_SHORT if small else gltf.UNSIGNED_INT,
            count=len(values),
            type=gltf.SCALAR,
        )
        self.file.accessors.append(accessor)
        return len(self.file.accessors) - 1

    def add_texture(self, name: str, data: bytes, kind: str) -> int:
        self.file.images.append(gltf.Image(name=name, bufferView=self.add_view(data), mimeType=kind))
        if not self.file.samplers:
            self.file.samplers = [gltf.Sampler(magFilter=gltf.LINEAR, minFilter=gltf.LINEAR_MIPMAP_LINEAR)]
        source = len(self.file.images) - 1
        where: dict[str, Any] = {"source": source} if kind == "image/png" else {"extensions": {WEBP: {"source": source}}}
        self.file.textures.append(gltf.Texture(name=name, sampler=0, **where))
        return len(self.file.textures) - 1


def _material(
    blob: _Blob, textures: Mapping[str, bytes], name: str, image_names: Mapping[str, str], image_kind: str = "image/png"
) -> gltf.Material:
    index = {
        kind: blob.add_texture(image_names.get(kind, kind), textures[kind], image_kind)
        for kind in (BASE_COLOR, NORMAL, ORM)
        if kind in textures
    }
    pbr = gltf.PbrMetallicRoughness(metallicFactor=1.0 if ORM in index else 0.0, roughnessFactor=1.0 if ORM in index else 0.7)
    material = gltf.Material(name=name, pbrMetallicRoughness=pbr, alphaCutoff=None)
    if BASE_COLOR in index:
        pbr.baseColorTexture = gltf.TextureInfo(index=index[BASE_COLOR])
    if NORMAL in index:
        material.normalTexture = gltf.NormalMaterialTexture(index=index[NORMAL])
    if ORM in index:
        pbr.metallicRoughnessTexture = gltf.TextureInfo(index=index[ORM])
        material.occlusionTexture = gltf.OcclusionTextureInfo(index=index[ORM])
    return material
