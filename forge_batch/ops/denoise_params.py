"""Say how strongly noise is averaged out of a map; see denoise."""

from __future__ import annotations

import numpy as np

from forge_batch.ops.mesh import Mesh

RADIUS = 3
"""Texels to each side that are averaged."""

NEAR = 2.0
"""Standard deviation of the weight by distance, in texels along the surface."""

TURN = 32.0
"""Power of the cosine between normals that is the weight by direction."""

TRUST = 3.0
"""Standard deviations of the noise that two texels may differ by before they count as different."""


def texel_spacing(mesh: Mesh, covered: int) -> float:
    """Give how far apart neighbouring texels are on the surface, on average, metres."""
    corners = mesh.vertices.astype(np.float64)[mesh.faces]
    area = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum()
    return float(np.sqrt(area / max(covered, 1)))
