"""Read the mesh, skeleton and weights of a skinned GLB that somebody else wrote."""

from __future__ import annotations

import base64
from typing import Any

import DracoPy
import numpy as np
import pygltflib
from scipy.spatial.transform import Rotation

from forge_batch.errors import StageError
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.rig import Rig

KINDS = {5120: np.int8, 5121: np.uint8, 5122: np.int16, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


def decode_skinned_glb(data: bytes, name: str) -> tuple[Mesh, Rig]:
    """Give everything skinned in a file as one mesh in the pose the file shows, with the first skin's skeleton.

    Weights are as in the file: not brought to a sum of 1, and possibly not finite.

    Args:
        data: Content of the file; buffers must be inside.
        name: What to call the file in errors.

    Raises:
        StageError: It cannot be read, or holds no skin, or no mesh with weights.
    """
    try:
        gltf = pygltflib.GLTF2().load_from_bytes(data)
        assert gltf is not None
    except Exception as error:
        raise StageError(f"{name} is not a readable GLB ({type(error).__name__})", "look into the rigger's log") from error
    if not gltf.skins:
        raise StageError(f"{name} holds no skin", "the rigger found no skeleton: try another seed")
    try:
        return _decode(gltf, name)
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise StageError(f"{name} is not a sound GLB ({error})", "look into the rigger's log") from error


def _decode(gltf: Any, name: str) -> tuple[Mesh, Rig]:
    world, above = _placed(gltf)
    skin = gltf.skins[0]
    order = sorted(range(len(skin.joints)), key=lambda index: _depth(skin.joints[index], above))
    nodes = [skin.joints[index] for index in order]
    number = {node: index for index, node in enumerate(nodes)}
    points, faces, influences, weights = [], [], [], []
    start = 0
    for node_index, node in enumerate(gltf.nodes):
        if node.mesh is None or node.skin != 0 or node_index not in world:
            continue
        for primitive in gltf.meshes[node.mesh].primitives:
            if primitive.attributes.JOINTS_0 is None or primitive.attributes.WEIGHTS_0 is None:
                continue
            attributes, corners = _read(gltf, primitive)
            own, share = _bound(attributes)
            mapped = np.array([number[node] for node in skin.joints], np.int32)[own]
            moves = _moves(gltf, skin, world)
            place = attributes["POSITION"].astype(np.float64)
            each = np.einsum("vkab,vb->vka", moves[own], np.column_stack([place, np.ones(len(place))]))[..., :3]
            points.append((each * share[..., None]).sum(axis=1))
            faces.append(corners.reshape(-1, 3) + start)
            influences.append(mapped)
            weights.append(share)
            start += len(place)
    if not points:
        raise StageError(f"{name} holds no mesh with weights", "the rigger gave no skin: try another seed")
    width = max(rows.shape[1] for rows in weights)
    rig = Rig(
        tuple(gltf.nodes[node].name or f"joint_{index}" for index, node in enumerate(nodes)),
        np.array([world[node][:3, 3] for node in nodes], np.float32),
        np.array([_parent(node, above, number) for node in nodes], np.int32),
        np.concatenate([np.pad(rows, ((0, 0), (0, width - rows.shape[1]))) for rows in influences]).astype(np.int32),
        np.concatenate([np.pad(rows, ((0, 0), (0, width - rows.shape[1]))) for rows in weights]).astype(np.float32),
    )
    return Mesh(np.concatenate(points).astype(np.float32), np.concatenate(faces).astype(np.int32)), rig


def _placed(gltf: Any) -> tuple[dict[int, np.ndarray], dict[int, int]]:
    """Give the place of every node in the world, and the node above it."""
    above = {child: index for index, node in enumerate(gltf.nodes) for child in node.children or ()}
    world: dict[int, np.ndarray] = {}
    waiting = [index for index in range(len(gltf.nodes)) if index not in above]
    while waiting:
        index = waiting.pop()
        own = _matrix(gltf.nodes[index])
        world[index] = world[above[index]] @ own if index in above else own
        waiting += gltf.nodes[index].children or ()
    return world, above


def _matrix(node: Any) -> np.ndarray:
    """Give a node's place below its parent."""
    if node.matrix:
        return np.array(node.matrix, np.float64).reshape(4, 4).T
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_quat(node.rotation or (0, 0, 0, 1)).as_matrix() * np.array(node.scale or (1, 1, 1))
    matrix[:3, 3] = node.translation or (0, 0, 0)
    return matrix


def _depth(node: int, above: dict[int, int]) -> int:
    depth = 0
    while node in above:
        node, depth = above[node], depth + 1
    return depth


def _parent(node: int, above: dict[int, int], number: dict[int, int]) -> int:
    """Give the nearest joint above a node, -1 if there is none."""
    while node in above:
        node = above[node]
        if node in number:
            return number[node]
    return -1


def _moves(gltf: Any, skin: Any, world: dict[int, np.ndarray]) -> np.ndarray:
    """Give what each joint of the skin does to points of the mesh."""
    count = len(skin.joints)
    inverse = np.tile(np.eye(4), (count, 1, 1))
    if skin.inverseBindMatrices is not None:
        inverse = _rows(gltf, skin.inverseBindMatrices).astype(np.float64).reshape(count, 4, 4).transpose(0, 2, 1)
    return np.array([world[node] @ inverse[index] for index, node in enumerate(skin.joints)])


def _read(gltf: Any, primitive: Any) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Give each attribute of a primitive, a row for each vertex, and its corners."""
    packed = (primitive.extensions or {}).get("KHR_draco_mesh_compression")
    if packed:
        view = gltf.bufferViews[packed["bufferView"]]
        start = view.byteOffset or 0
        out = DracoPy.decode(gltf.binary_blob()[start : start + view.byteLength])
        rows = {one["unique_id"]: np.asarray(one["data"]) for one in out.attributes}
        return {name: rows[number] for name, number in packed["attributes"].items()}, np.asarray(out.faces, np.int64).ravel()
    named = {name: index for name, index in vars(primitive.attributes).items() if isinstance(index, int)}
    attributes = {name: _rows(gltf, index) for name, index in named.items()}
    corners = (
        _rows(gltf, primitive.indices).ravel() if primitive.indices is not None else np.arange(len(attributes["POSITION"]))
    )
    return attributes, corners.astype(np.int64)


def _bound(attributes: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Give joints and weights of each vertex, of all sets that there are."""
    joints, weights = [], []
    for number in range(8):
        own, share = (attributes.get(f"{word}_{number}") for word in ("JOINTS", "WEIGHTS"))
        if own is None or share is None:
            break
        joints.append(own.astype(np.int64))
        scale = 1.0 if share.dtype.kind == "f" else float(np.iinfo(share.dtype).max)
        weights.append(share.astype(np.float64) / scale)
    return np.concatenate(joints, axis=1), np.concatenate(weights, axis=1)


def _rows(gltf: Any, index: int) -> np.ndarray:
    """Read an accessor, one element a row."""
    accessor = gltf.accessors[index]
    view = gltf.bufferViews[accessor.bufferView]
    uri = gltf.buffers[view.buffer].uri
    blob = base64.b64decode(uri.partition(",")[2]) if uri else gltf.binary_blob()
    kind, width = np.dtype(KINDS[accessor.componentType]), WIDTHS[accessor.type]
    stride = view.byteStride or kind.itemsize * width
    start = (view.byteOffset or 0) + (accessor.byteOffset or 0)
    raw = np.frombuffer(blob, np.uint8, count=stride * (accessor.count - 1) + kind.itemsize * width, offset=start)
    raw = np.lib.stride_tricks.as_strided(raw, (accessor.count, kind.itemsize * width), (stride, 1))
    return np.ascontiguousarray(raw).view(kind)
