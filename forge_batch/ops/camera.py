"""Project points into an input image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64


@dataclass(frozen=True, eq=False)
class Camera:
    """Map house space to the pixels of one image.

    A point p has camera coordinates `q = view @ [p, 1]` (x right, y down, z forward: the depth). Its pixel is
    `focal * q.xy / q.z + centre`, or `focal * q.xy + centre` for an orthographic camera. Pixel centres lie at +0.5, row 0 is
    on top. `view` may hold a similarity (rotation, translation and one scale), so that `moved` is exact.

    Attributes:
        view: (3, 4).
        focal: (2,), pixels (per metre if orthographic).
        centre: (2,), pixels.
        size: (width, height), pixels.
        orthographic: Whether all rays are parallel.
    """

    view: Float64[np.ndarray, "3 4"]
    focal: Float64[np.ndarray, " 2"]
    centre: Float64[np.ndarray, " 2"]
    size: tuple[int, int]
    orthographic: bool

    def project(self, points: np.ndarray) -> tuple[Float64[np.ndarray, "n 2"], Float64[np.ndarray, " n"]]:
        """Project (n, 3) points: pixels (n, 2) and depths (n,), which grow away from the camera."""
        q = points.astype(np.float64) @ self.view[:, :3].T + self.view[:, 3]
        xy = q[:, :2] if self.orthographic else q[:, :2] / q[:, 2:3]
        return xy * self.focal + self.centre, q[:, 2]

    @property
    def eye(self) -> Float64[np.ndarray, " 3"]:
        """Where the camera is; for an orthographic one, which is nowhere, the unit direction to it."""
        rotation = self.view[:, :3]
        if self.orthographic:
            return np.asarray(-rotation[2] / np.linalg.norm(rotation[2]))
        return np.asarray(-np.linalg.solve(rotation, self.view[:, 3]))

    def towards(self, points: np.ndarray) -> Float64[np.ndarray, "n 3"]:
        """Give the unit directions (n, 3) from (n, 3) points to the camera."""
        if self.orthographic:
            return np.broadcast_to(self.eye, (len(points), 3)).copy()
        ray = self.eye - points
        return np.asarray(ray / np.linalg.norm(ray, axis=1, keepdims=True))

    def moved(self, matrix: np.ndarray) -> Camera:
        """Follow the object through a (4, 4) similarity: the camera that sees matrix @ p where this one saw p."""
        view = np.vstack([self.view, [0.0, 0.0, 0.0, 1.0]]) @ np.linalg.inv(matrix)
        return Camera(view[:3], self.focal, self.centre, self.size, self.orthographic)

    def to_json(self) -> dict[str, Any]:
        return {
            "view": self.view.tolist(),
            "focal": self.focal.tolist(),
            "centre": self.centre.tolist(),
            "size": list(self.size),
            "orthographic": self.orthographic,
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Camera:
        width, height = document["size"]
        return cls(
            np.array(document["view"], float),
            np.array(document["focal"], float),
            np.array(document["centre"], float),
            (int(width), int(height)),
            bool(document["orthographic"]),
        )
