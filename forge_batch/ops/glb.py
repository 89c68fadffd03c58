"""Write a textured mesh as binary glTF 2.0.

Through pygltflib: trimesh would write TANGENT under a name that engines ignore, and the shared
occlusion-roughness-metallic image twice.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pygltflib as gltf

from forge_batch.ops.mesh import Mesh
from forge_batch.ops.writable import check_surface

BASE_COLOR, NORMAL, ORM = "base_color", "normal", "orm"


def encode_glb(
    name: str, mesh: Mesh, textures: Mapping[str, bytes], material: str, image_names: Mapping[str, str] | None = None
) -> bytes:
    """Give the bytes of a GLB with one mesh, one material and its PNGs inside; same input, same bytes.

    Args:
        name: Of the node and the mesh.
        mesh: In metres, +Y up, with uv (origin top left), normals and tangents.
        textures: PNG bytes by `base_color` (sRGB), `normal` (OpenGL, Y+), `orm` (occlusion, roughness, metallic), any missing.
        material: Name of the material.
        image_names: Names of the images, from which engines name texture assets, by the keys of `textures`; a key without
            one names its image itself.

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
    )
    indices = blob.add_indices(mesh.faces)
    file.materials = [_material(blob, textures, material, image_names or {})]
    file.meshes = [gltf.Mesh(name=name, primitives=[gltf.Primitive(attributes=attributes, indices=indices, material=0)])]
    file.nodes = [gltf.Node(name=name, mesh=0)]
    file.scenes = [gltf.Scene(nodes=[0])]
    file.scene = 0
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

    def add_texture(self, name: str, png: bytes) -> int:
        self.file.images.append(gltf.Image(name=name, bufferView=self.add_view(png), mimeType="image/png"))
        if not self.file.samplers:
            self.file.samplers = [gltf.Sampler(magFilter=gltf.LINEAR, minFilter=gltf.LINEAR_MIPMAP_LINEAR)]
        self.file.textures.append(gltf.Texture(name=name, sampler=0, source=len(self.file.images) - 1))
        return len(self.file.textures) - 1


def _material(blob: _Blob, textures: Mapping[str, bytes], name: str, image_names: Mapping[str, str]) -> gltf.Material:
    index = {
        kind: blob.add_texture(image_names.get(kind, kind), textures[kind])
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
