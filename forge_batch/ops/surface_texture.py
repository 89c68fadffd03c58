"""Hold material in pictures that cover a source by UVs of its own, and read it at any point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8

from forge_batch.ops.srgb import srgb_to_linear


@dataclass(frozen=True, eq=False)
class SurfaceTexture:
    """Be the textures of a mesh.

    Attributes:
        corner_uv: (f, 3, 2) UVs of the corners of each face, origin top left; outside 0..1 the pictures repeat, as in glTF.
        base_color: (h, w, 3) sRGB.
        material: (k, l, 2) metallic and roughness, linear, 255 is 1; None if the vertices say them.
    """

    corner_uv: Float32[np.ndarray, "f 3 2"]
    base_color: UInt8[np.ndarray, "h w 3"]
    material: UInt8[np.ndarray, "k l 2"] | None = None

    def read(
        self, face: Int[np.ndarray, " n"], barycentric: Float[np.ndarray, "n 3"]
    ) -> tuple[Float32[np.ndarray, "n 3"], Float32[np.ndarray, "n 2"] | None]:
        """Give linear base colour, and metallic and roughness if there are any, bilinearly, colours mixed in linear light."""
        uv = np.einsum("nk,nkc->nc", barycentric.astype(np.float32), self.corner_uv[face])
        color = _read(srgb_to_linear(self.base_color), uv)
        return color, None if self.material is None else _read(self.material.astype(np.float32) / np.float32(255), uv)


def _read(image: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Read bilinearly; texel (row, column) has its centre at ((column + 0.5) / w, (row + 0.5) / h), and the picture repeats."""
    h, w = image.shape[:2]
    place = uv * np.array([w, h], np.float32) - np.float32(0.5)
    low = np.floor(place)
    part = place - low
    x0, y0 = (low.astype(np.int64) % [w, h]).T
    x1, y1 = (x0 + 1) % w, (y0 + 1) % h
    fx, fy = part[:, :1], part[:, 1:]
    top = image[y0, x0] * (1 - fx) + image[y0, x1] * fx
    bottom = image[y1, x0] * (1 - fx) + image[y1, x1] * fx
    return np.asarray(top * (1 - fy) + bottom * fy, np.float32)
