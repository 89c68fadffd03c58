"""Hold material in pictures that cover a source by UVs of its own, and read it at any point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8

from forge_batch.ops.padding import nearest_known
from forge_batch.ops.srgb import srgb_to_linear

CLEAR = 8
"""Alpha below which a pixel of a texture has no colour of its own: of 255 steps too few are left to say one."""


@dataclass(frozen=True, eq=False)
class SurfaceTexture:
    """Be the textures of a mesh.

    Attributes:
        corner_uv: (f, 3, 2) UVs of the corners of each face, origin top left; outside 0..1 the pictures repeat, as in glTF.
        base_color: (h, w, 3) sRGB.
        material: (k, l, 2) metallic and roughness, linear, 255 is 1; None if the vertices say them.
        alpha: (h, w) how much of the surface is there, 255 is all; None for an opaque one. See masked_texture.
    """

    corner_uv: Float32[np.ndarray, "f 3 2"]
    base_color: UInt8[np.ndarray, "h w 3"]
    material: UInt8[np.ndarray, "k l 2"] | None = None
    alpha: UInt8[np.ndarray, "h w"] | None = None

    def read(
        self, face: Int[np.ndarray, " n"], barycentric: Float[np.ndarray, "n 3"]
    ) -> tuple[Float32[np.ndarray, "n 3"], Float32[np.ndarray, "n 2"] | None]:
        """Give linear base colour, and metallic and roughness if there are any, bilinearly, colours mixed in linear light."""
        uv = self._place(face, barycentric)
        return _read(self.base_color, _SRGB, uv), None if self.material is None else _read(self.material, _LINEAR, uv)

    def read_alpha(self, face: Int[np.ndarray, " n"], barycentric: Float[np.ndarray, "n 3"]) -> Float32[np.ndarray, " n"]:
        """Give the alpha, 0..1, bilinearly; only where there is one."""
        assert self.alpha is not None
        return _read(self.alpha[..., None], _LINEAR, self._place(face, barycentric))[:, 0]

    def _place(self, face: np.ndarray, barycentric: np.ndarray) -> np.ndarray:
        return np.asarray(np.einsum("nk,nkc->nc", barycentric.astype(np.float32), self.corner_uv[face]))


def masked_texture(
    corner_uv: Float32[np.ndarray, "f 3 2"],
    picture: UInt8[np.ndarray, "h w 4"],
    material: UInt8[np.ndarray, "k l 2"] | None = None,
) -> SurfaceTexture:
    """Make the texture of a surface with holes (glTF's MASK and BLEND) from sRGB with straight alpha.

    What lies under clear pixels is often black, and every filter would drag it in as a dark fringe: there the colour of the
    nearest pixel is put that has one (an alpha of CLEAR and more). A picture with none, or opaque all over, is an opaque one.
    """
    alpha = np.ascontiguousarray(picture[..., 3])
    color, known = np.ascontiguousarray(picture[..., :3]), alpha >= CLEAR
    if (alpha == 255).all() or not known.any():
        return SurfaceTexture(corner_uv, color, material)
    return SurfaceTexture(corner_uv, color.reshape(-1, 3)[nearest_known(known)], material, alpha)


_SRGB, _LINEAR = srgb_to_linear(np.arange(256, dtype=np.uint8)), np.arange(256, dtype=np.float32) / np.float32(255)


def _read(image: np.ndarray, table: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Read bilinearly what a table makes of the pixels, and of those it needs alone; the picture repeats.

    Texel (row, column) has its centre at ((column + 0.5) / w, (row + 0.5) / h).
    """
    h, w = image.shape[:2]
    place = uv * np.array([w, h], np.float32) - np.float32(0.5)
    low = np.floor(place)
    part = place - low
    x0, y0 = (low.astype(np.int64) % [w, h]).T
    x1, y1 = (x0 + 1) % w, (y0 + 1) % h
    fx, fy = part[:, :1], part[:, 1:]
    top = table[image[y0, x0]] * (1 - fx) + table[image[y0, x1]] * fx
    bottom = table[image[y1, x0]] * (1 - fx) + table[image[y1, x1]] * fx
    return np.asarray(top * (1 - fy) + bottom * fy, np.float32)
