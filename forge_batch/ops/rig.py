"""Hold a skeleton with skin weights, and keep it in a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32
from scipy.spatial import cKDTree

from forge_batch.ops.mesh import Mesh, load_arrays, save_arrays


@dataclass(frozen=True, eq=False)
class Rig:
    """Be the skeleton of a mesh: joints that hang on one another, and how much each moves each vertex.

    Attributes:
        names: Of the joints, all different.
        joints: Where they stand in the bind pose, metres, house space; their axes are the house's.
        parents: Joint that each hangs on, -1 for none; a parent comes before its children.
        influences: Up to k joints that move each vertex; any where the weight is 0.
        weights: How much, not negative, summing to 1 over each row.
    """

    names: Sequence[str]
    joints: Float32[np.ndarray, "j 3"]
    parents: Int32[np.ndarray, " j"]
    influences: Int32[np.ndarray, "v k"]
    weights: Float32[np.ndarray, "v k"]


class Rigged(NamedTuple):
    """Be what a rigger gives.

    Attributes:
        rig: For the vertices of the mesh it was given.
        confidence: 0..1 of each joint, by its name.
        facts: What else was measured, as JSON values.
    """

    rig: Rig
    confidence: Mapping[str, float]
    facts: Mapping[str, Any]


def save_rig(path: Path, rig: Rig, facts: Mapping[str, Any] | None = None) -> None:
    """Write the RIG slot; `facts` say what made it (backend, revision, licence) and how sure it is of each joint."""
    arrays = {
        "joints": rig.joints,
        "parents": rig.parents,
        "influences": rig.influences,
        "weights": rig.weights,
    }
    save_arrays(path, arrays, {"names": list(rig.names), "facts": dict(facts or {})})


def load_rig(path: Path) -> Rig:
    """Read the RIG slot."""
    arrays, meta = load_arrays(path)
    return Rig(tuple(meta["names"]), arrays["joints"], arrays["parents"], arrays["influences"], arrays["weights"])


def load_rig_facts(path: Path) -> dict[str, Any]:
    """Read what stands in a RIG slot about what made it."""
    facts: dict[str, Any] = load_arrays(path)[1].get("facts", {})
    return facts


def rig_fault(rig: Rig, vertices: int) -> str | None:
    """Say what is wrong with a rig for a mesh of so many vertices; None if it is sound."""
    count = len(rig.names)
    if len(set(rig.names)) != count or rig.joints.shape != (count, 3) or rig.parents.shape != (count,) or not count:
        return "a rig needs joints with a name of their own, a place and a parent each"
    if not np.isfinite(rig.joints).all() or not np.isfinite(rig.weights).all() or (rig.weights < 0).any():
        return "a rig needs finite places, and weights that are finite and not negative"
    if (rig.parents >= np.arange(count)).any() or (rig.parents < -1).any():
        return "a joint's parent must come before it"
    if rig.influences.shape != rig.weights.shape or len(rig.weights) != vertices:
        return f"{vertices} vertices need a row of influences and weights each, not {len(rig.weights)}"
    off = int((np.abs(rig.weights.sum(axis=1) - 1.0) > 1e-3).sum())
    strange = int(((rig.influences < 0) | (rig.influences >= count)).any(axis=1).sum())
    return (
        f"{off} vertices have weights that do not sum to 1, {strange} name joints that there are not" if off + strange else None
    )


def limited(rig: Rig, influences: int) -> Rig:
    """Keep the strongest few joints of each vertex, and bring their weights to a sum of 1 again."""
    keep = np.argsort(-rig.weights, axis=1, kind="stable")[:, :influences]
    weights = np.take_along_axis(rig.weights, keep, axis=1).astype(np.float64)
    weights /= weights.sum(axis=1, keepdims=True)
    return replace(rig, influences=np.take_along_axis(rig.influences, keep, axis=1), weights=weights.astype(np.float32))


def carried_over(rig: Rig, fine: Mesh, coarse: Mesh) -> Rig:
    """Give the rig for another level of detail: each vertex moves as the nearest one of the level the rig was made for."""
    nearest = cKDTree(fine.vertices).query(coarse.vertices)[1]
    return replace(rig, influences=rig.influences[nearest], weights=rig.weights[nearest])


def bound_to(rig: Rig, vertices: Bool[np.ndarray, " v"]) -> Rig:
    """Give the rig for some of the vertices alone."""
    return replace(rig, influences=rig.influences[vertices], weights=rig.weights[vertices])


def with_root(rig: Rig) -> Rig:
    """Give a rig whose one top joint is called `root` and stands at the origin, adding it if there is none."""
    if rig.names[0] == "root" and not rig.joints[0].any() and (rig.parents[1:] >= 0).all():
        return rig
    names = ("root", *("root_1" if name == "root" else name for name in rig.names))
    joints = np.vstack([np.zeros((1, 3), np.float32), rig.joints])
    parents = np.concatenate([[-1], np.where(rig.parents < 0, 0, rig.parents + 1)]).astype(np.int32)
    return Rig(names, joints, parents, (rig.influences + 1).astype(np.int32), rig.weights)


def hung(rig: Rig, place: Sequence[float]) -> tuple[int, list[float]]:
    """Give the joint that is nearest to a place, and the place as seen from it."""
    away = np.asarray(place, np.float64) - rig.joints.astype(np.float64)
    joint = int(np.linalg.norm(away, axis=1).argmin())
    return joint, away[joint].tolist()


def posed(rig: Rig, vertices: Float32[np.ndarray, "v 3"], turns: Float64[np.ndarray, "j 3 3"]) -> Float64[np.ndarray, "v 3"]:
    """Move vertices by linear blend skinning, each joint turned about itself by a matrix in the axes of its parent."""
    world = np.tile(np.eye(4), (len(rig.names), 1, 1))
    for joint, parent in enumerate(rig.parents):
        local = np.eye(4)
        local[:3, :3] = turns[joint]
        local[:3, 3] = rig.joints[joint] - (rig.joints[parent] if parent >= 0 else 0)
        world[joint] = local if parent < 0 else world[parent] @ local
    moves = world.copy()
    moves[:, :3, 3] -= np.einsum("jab,jb->ja", world[:, :3, :3], rig.joints.astype(np.float64))
    points = np.column_stack([vertices.astype(np.float64), np.ones(len(vertices))])
    each = np.einsum("vkab,vb->vka", moves[rig.influences], points)[..., :3]
    return np.asarray((each * rig.weights[..., None]).sum(axis=1))
