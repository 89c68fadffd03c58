"""Fill a binary glTF 2.0: its one buffer, textures and material, surfaces and skeletons."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pygltflib as gltf

from forge_batch.ops.mesh import Mesh
from forge_batch.ops.rig import Rig, limited

WEBP = "EXT_texture_webp"
BASE_COLOR, NORMAL, ORM = "base_color", "normal", "orm"
MASK_CUTOFF = 0.5
INFLUENCES = 4
"""Joints of a vertex: what every reader takes; three.js leaves out a second set of four."""

ARMATURE, COLLISION = "Armature", "Collision"


class Blob:
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

    def add_joints(self, joints: np.ndarray) -> int:
        """Add four joints a vertex, uint8 or uint16."""
        kind = gltf.UNSIGNED_BYTE if joints.dtype == np.uint8 else gltf.UNSIGNED_SHORT
        view = self.add_view(np.ascontiguousarray(joints).tobytes(), gltf.ARRAY_BUFFER)
        self.file.accessors.append(gltf.Accessor(bufferView=view, componentType=kind, count=len(joints), type=gltf.VEC4))
        return len(self.file.accessors) - 1

    def add_matrices(self, matrices: np.ndarray) -> int:
        view = self.add_view(np.ascontiguousarray(matrices, np.float32).tobytes())
        accessor = gltf.Accessor(bufferView=view, componentType=gltf.FLOAT, count=len(matrices), type=gltf.MAT4)
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


class Look(NamedTuple):
    """Be one material.

    Attributes:
        name: Of the material.
        textures: PNG or WebP bytes by `base_color` (sRGB), `normal` (OpenGL, Y+), `orm` (occlusion, roughness, metallic), any
            missing.
        image_names: Names of the images, from which engines name texture assets, by the keys of `textures`; a key without
            one names its image itself.
        masked: What its base colour's alpha leaves below MASK_CUTOFF is not there.
        two_sided: Whether the backs of faces are seen, as of a sheet that is open on purpose; those of what is masked are.
    """

    name: str
    textures: Mapping[str, bytes]
    image_names: Mapping[str, str] = MappingProxyType({})
    masked: bool = False
    two_sided: bool = False


def add_material(blob: Blob, look: Look, image_kind: str = "image/png") -> None:
    """Put a material and its textures into the file."""
    index = {
        kind: blob.add_texture(look.image_names.get(kind, kind), look.textures[kind], image_kind)
        for kind in (BASE_COLOR, NORMAL, ORM)
        if kind in look.textures
    }
    pbr = gltf.PbrMetallicRoughness(metallicFactor=1.0 if ORM in index else 0.0, roughnessFactor=1.0 if ORM in index else 0.7)
    material = gltf.Material(name=look.name, pbrMetallicRoughness=pbr, alphaCutoff=None)
    material.doubleSided = look.masked or look.two_sided
    if look.masked:
        material.alphaMode, material.alphaCutoff = gltf.MASK, MASK_CUTOFF
    if BASE_COLOR in index:
        pbr.baseColorTexture = gltf.TextureInfo(index=index[BASE_COLOR])
    if NORMAL in index:
        material.normalTexture = gltf.NormalMaterialTexture(index=index[NORMAL])
    if ORM in index:
        pbr.metallicRoughnessTexture = gltf.TextureInfo(index=index[ORM])
        material.occlusionTexture = gltf.OcclusionTextureInfo(index=index[ORM])
    blob.file.materials.append(material)


def add_surface(blob: Blob, mesh: Mesh, rig: Rig | None = None, material: int = 0) -> gltf.Primitive:
    """Put a textured mesh that check_surface lets pass into the file, bound to a rig for its vertices where there is one."""
    assert mesh.uv is not None
    assert mesh.normals is not None
    assert mesh.tangents is not None
    attributes = gltf.Attributes(
        POSITION=blob.add_vectors(mesh.vertices, bounds=True),
        NORMAL=blob.add_vectors(_unit(mesh.normals)),
        TANGENT=blob.add_vectors(np.hstack([_unit(mesh.tangents[:, :3]), mesh.tangents[:, 3:]])),
        TEXCOORD_0=blob.add_vectors(mesh.uv),
        TEXCOORD_1=None if mesh.lightmap_uv is None else blob.add_vectors(mesh.lightmap_uv),
    )
    if rig is not None:
        joints, weights = bindings(rig)
        attributes.JOINTS_0, attributes.WEIGHTS_0 = blob.add_joints(joints), blob.add_vectors(weights)
    return gltf.Primitive(attributes=attributes, indices=blob.add_indices(mesh.faces), material=material)


def add_solid(blob: Blob, mesh: Mesh) -> gltf.Primitive:
    """Put a convex shape for collision into the file.

    Its UVs and its material serve nobody but programs that join all meshes of a file and want both everywhere.
    """
    file = blob.file
    if not any(one.name == COLLISION for one in file.materials):
        plain = gltf.PbrMetallicRoughness(metallicFactor=0.0, roughnessFactor=0.7)
        file.materials.append(gltf.Material(name=COLLISION, pbrMetallicRoughness=plain, alphaCutoff=None))
    attributes = gltf.Attributes(
        POSITION=blob.add_vectors(mesh.vertices, bounds=True), TEXCOORD_0=blob.add_vectors(octahedral(mesh.vertices))
    )
    return gltf.Primitive(attributes=attributes, indices=blob.add_indices(mesh.faces), material=len(file.materials) - 1)


def add_skeleton(blob: Blob, rig: Rig) -> int:
    """Put a skeleton into the file as its one skin and give the node that it hangs on; bones stand unturned."""
    file = blob.file
    armature = len(file.nodes)
    first = armature + 1
    file.nodes.append(gltf.Node(name=ARMATURE))
    for name, joint, parent in zip(rig.names, rig.joints.astype(np.float64), rig.parents, strict=True):
        place = (joint - (rig.joints[parent] if parent >= 0 else 0.0)).tolist()
        file.nodes[armature if parent < 0 else first + parent].children.append(len(file.nodes))
        file.nodes.append(gltf.Node(name=name, translation=place))
    inverse = np.tile(np.eye(4, dtype=np.float32), (len(rig.names), 1, 1))
    inverse[:, 3, :3] = -rig.joints  # glTF keeps matrices column by column
    joints = list(range(first, first + len(rig.names)))
    file.skins = [gltf.Skin(name=ARMATURE, skeleton=armature, joints=joints, inverseBindMatrices=blob.add_matrices(inverse))]
    return armature


def bindings(rig: Rig) -> tuple[np.ndarray, np.ndarray]:
    """Give joints (v, 4), uint8 or uint16, and weights (v, 4) of each vertex: what moves nothing names joint 0."""
    few = limited(rig, INFLUENCES)
    missing = INFLUENCES - few.weights.shape[1]
    weights = np.pad(few.weights, ((0, 0), (0, missing)))
    joints = np.where(weights > 0, np.pad(few.influences, ((0, 0), (0, missing))), 0)
    return joints.astype(np.uint8 if len(rig.names) <= 256 else np.uint16), weights


def octahedral(points: np.ndarray) -> np.ndarray:
    """Lay the directions of points (v, 3) from their middle out on the unit square; (v, 2) float32."""
    away = points.astype(np.float64) - points.mean(axis=0)
    x, y, z = (away / np.maximum(np.abs(away).sum(axis=1, keepdims=True), 1e-12)).T
    flat = np.stack([x, y], axis=1)
    folded = (1.0 - np.abs(flat[:, ::-1])) * np.where(flat >= 0, 1.0, -1.0)
    return np.asarray(np.where(z[:, None] < 0, folded, flat) * 0.5 + 0.5, np.float32)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)
