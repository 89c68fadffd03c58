"""Build the packed tree of a surface on the device; see warp_tree."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float32

from forge_batch.ops.gpu_raster import start_warp

MARGIN = 2e-6
"""Of the greatest coordinate: what boxes are wider than their faces, for the rounding of float32."""


def build_tree(vertices: Any, faces: Any, bounds: Float32[np.ndarray, "2 3"]) -> Any:
    """Pack the faces of a surface into a warp_tree.Tree.

    Args:
        vertices: Device array of n points.
        faces: Device array (m, 3), m >= 1.
        bounds: Least and greatest corner of the surface.
    """
    wp = start_warp()
    from forge_batch.ops import warp_tree as kernels  # noqa: PLC0415

    device, count = vertices.device, faces.shape[0]
    scale = 1.0 / max(float(np.ptp(bounds, axis=0).max()), 1e-30)
    margin = MARGIN * float(np.abs(bounds).max())
    keys, order = (wp.empty(2 * count, dtype=wp.int32, device=device) for _ in range(2))
    wp.launch(kernels.place_faces, count, [vertices, faces, wp.vec3(*bounds[0].tolist()), scale, keys, order], device=device)
    wp.utils.radix_sort_pairs(keys, order, count)
    sizes = [-(-count // 4)]
    while sizes[-1] > 1:
        sizes.append(-(-sizes[-1] // 4))
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)
    tree = kernels.Tree()
    tree.nodes = wp.empty((sum(sizes), 6, 4), dtype=wp.float32, device=device)
    tree.levels = wp.array(starts, dtype=wp.int32, device=device)
    tree.triangles = wp.zeros(12 * sizes[0], dtype=wp.vec4, device=device)
    lower, upper = (wp.empty(4 * sizes[0], dtype=wp.vec3, device=device) for _ in range(2))
    sent = [vertices, faces, order, margin, tree.triangles, lower, upper]
    wp.launch(kernels.pack_faces, 4 * sizes[0], sent, device=device)
    for size, start in zip(sizes, starts.tolist(), strict=True):
        own = [wp.full(4 * -(-size // 4), wp.vec3(far, far, far), dtype=wp.vec3, device=device) for far in (1e30, -1e30)]
        wp.launch(kernels.pack_nodes, size, [lower, upper, start, tree.nodes, *own], device=device)
        lower, upper = own
    return tree
