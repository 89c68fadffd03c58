"""Split a solid into nearly convex parts; runs in a child process, because CoACD talks on stdout and may take its time."""

from __future__ import annotations

from typing import Any

import coacd
import numpy as np


def find_parts(arrays: dict[str, np.ndarray], options: dict[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Give the points of each part by number, largest box first, and their `count`.

    Args:
        arrays: `vertices` and `faces` of a closed mesh.
        options: `most` parts and `seed`.
    """
    coacd.set_log_level("off")
    parts = coacd.run_coacd(
        coacd.Mesh(arrays["vertices"].astype(np.float64), arrays["faces"]),
        threshold=0.1,
        max_convex_hull=options["most"],
        resolution=1000,
        mcts_nodes=10,
        mcts_iterations=60,
        mcts_max_depth=2,
        seed=options["seed"] % 2**31,
    )
    points = sorted((np.asarray(p, dtype=np.float32) for p, _ in parts), key=lambda p: -float(np.prod(np.ptp(p, axis=0))))
    return {f"{i:03}": p for i, p in enumerate(points)}, {"count": len(points)}
