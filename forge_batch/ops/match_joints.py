"""Say which joint of a strange skeleton is which of the Mannequin's, by where it stands.

Learned riggers number their joints. In an upright figure the place tells which is meant: where the embedded rigger would put a
knee, the nearest joint of theirs is the knee, if ours is also the nearest to it and its parent agrees.
"""

from __future__ import annotations

import numpy as np

from forge_batch.ops.humanoid import Humanoid
from forge_batch.ops.rig import Rig

REACH = 0.08
"""Of the height: joints farther apart are not the same."""


def match_joints(rig: Rig, found: Humanoid, height: float) -> dict[int, tuple[str, float]]:
    """Give name and confidence of those joints of a rig that stand where a fitted skeleton has one.

    Joints of the chain are taken from the trunk outwards: a child must hang, at whatever remove, on what its parent was
    matched with. Confidence is that of the fitted joint, less the farther they are apart.

    Args:
        rig: With any names.
        found: Fitted to the same mesh.
        height: Of the mesh, metres.
    """
    away = np.linalg.norm(rig.joints[:, None].astype(np.float64) - found.joints[None].astype(np.float64), axis=2) / height
    above = _ancestors(rig.parents)
    matched: dict[int, int] = {}
    for joint in range(1, len(found.names)):
        candidates = [
            other
            for other in np.argsort(away[:, joint], kind="stable")
            if away[other, joint] < REACH and other not in matched.values() and joint in _nearest_few(away[other])
        ]
        parent = int(found.parents[joint])
        while parent > 0 and parent not in matched:
            parent = int(found.parents[parent])
        chain = [other for other in candidates if parent <= 0 or matched[parent] in above[other]]
        if chain:
            matched[joint] = int(chain[0])
    return {
        other: (found.names[joint], round(float(found.confidence[joint]) * (1.0 - away[other, joint] / REACH / 2), 2))
        for joint, other in matched.items()
    }


def _nearest_few(distances: np.ndarray) -> set[int]:
    """Give the two fitted joints nearest to one of the rig's: pelvis and first spine may stand close together."""
    return {int(one) for one in np.argsort(distances, kind="stable")[:2]}


def _ancestors(parents: np.ndarray) -> list[set[int]]:
    """Give all joints above each."""
    above: list[set[int]] = []
    for parent in parents:
        above.append(set() if parent < 0 else {int(parent), *above[int(parent)]})
    return above
