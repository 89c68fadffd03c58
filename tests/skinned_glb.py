"""Write a skinned GLB, as plainly as the format allows: one mesh, one skin, a node for each joint."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np

from forge_batch.ops.mesh import Mesh
from forge_batch.ops.rig import Rig


def encode_skinned_glb(mesh: Mesh, rig: Rig | None, raw: bytes = b"", lift: float = 0.0) -> bytes:
    """Write a mesh with up to four joints a vertex; without a rig there is no skin.

    Args:
        mesh: In bind pose.
        rig: Of its vertices; weights are written as they are.
        lift: How far above their bind pose the joints stand, metres.
        raw: Unused bytes before the data, so that offsets are not all 0.
    """
    blob = bytearray(raw.ljust(-(-len(raw) // 4) * 4, b"\0"))
    document: dict[str, Any] = {
        "asset": {"version": "2.0"}, "accessors": [], "bufferViews": [], "scene": 0,
        "nodes": [{"name": "body", "mesh": 0}], "meshes": [{"primitives": [{"attributes": {}}]}],
    }  # fmt: skip

    def accessor(rows: np.ndarray, kind: str, component: int) -> int:
        document["bufferViews"].append({"buffer": 0, "byteOffset": len(blob), "byteLength": rows.nbytes})
        blob.extend(rows.tobytes().ljust(-(-rows.nbytes // 4) * 4, b"\0"))
        document["accessors"].append(
            {"bufferView": len(document["bufferViews"]) - 1, "componentType": component, "count": len(rows), "type": kind}
        )
        return len(document["accessors"]) - 1

    primitive = document["meshes"][0]["primitives"][0]
    primitive["attributes"]["POSITION"] = accessor(mesh.vertices.astype("<f4"), "VEC3", 5126)
    document["accessors"][0] |= {"min": mesh.vertices.min(axis=0).tolist(), "max": mesh.vertices.max(axis=0).tolist()}
    primitive["indices"] = accessor(mesh.faces.astype("<u4").reshape(-1), "SCALAR", 5125)
    roots = [0]
    if rig is not None:
        width = 4 - rig.weights.shape[1]
        joints, weights = (np.pad(rows, ((0, 0), (0, width))) for rows in (rig.influences, rig.weights))
        primitive["attributes"]["JOINTS_0"] = accessor(joints.astype("<u2"), "VEC4", 5123)
        primitive["attributes"]["WEIGHTS_0"] = accessor(weights.astype("<f4"), "VEC4", 5126)
        inverse = np.tile(np.eye(4), (len(rig.names), 1, 1))
        inverse[:, :3, 3] = -rig.joints
        matrices = accessor(inverse.transpose(0, 2, 1).reshape(-1, 16).astype("<f4"), "MAT4", 5126)
        document["skins"] = [{"joints": list(range(1, len(rig.names) + 1)), "inverseBindMatrices": matrices}]
        document["nodes"][0]["skin"] = 0
        for index, (name, parent) in enumerate(zip(rig.names, rig.parents, strict=True)):
            place = rig.joints[index] - (rig.joints[parent] if parent >= 0 else 0)
            children = [int(child) + 1 for child in np.flatnonzero(rig.parents == index)]
            place = place + (np.array([0.0, lift, 0.0]) if parent < 0 else 0)
            node = {"name": name, "translation": [float(value) for value in place]}
            document["nodes"].append({**node, "children": children} if children else node)
        roots += [index + 1 for index in np.flatnonzero(rig.parents < 0)]
    document["scenes"] = [{"nodes": [int(root) for root in roots]}]
    document["buffers"] = [{"byteLength": len(blob)}]
    text = json.dumps(document).encode()
    text = text.ljust(-(-len(text) // 4) * 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(blob), 0x004E4942) + bytes(blob)
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks
