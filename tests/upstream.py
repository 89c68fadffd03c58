"""Stand in for the learned packages: results of their shape, behind the very signatures that vendor.toml records."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import trimesh

from forge_batch.backends.vendored.pins import package


def recorded(name: str, file: str, function: str) -> inspect.Signature:
    """Turn a recorded signature into one that calls can be bound to."""
    text = package(name).signatures[file][function]
    scope: dict[str, Any] = {"torch": SimpleNamespace(float16="float16")}
    exec(f"def f{text}: ...", scope)
    return inspect.signature(scope["f"])


def held_to(signature: inspect.Signature, function: Callable[[dict[str, Any]], Any]) -> Callable[..., Any]:
    """Call a function with the arguments by name; a call that upstream would refuse fails."""

    def call(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(None, *args, **kwargs)
        bound.apply_defaults()
        collected = [p.name for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD]
        assert not any(bound.arguments[name] for name in collected), f"swallowed: {bound.arguments}"
        return function(bound.arguments)

    return call


LAYOUT = {"base_color": slice(0, 3), "metallic": slice(3, 4), "roughness": slice(4, 5), "alpha": slice(5, 6)}


def voxel_mesh(
    resolution: int = 64, extents: tuple[float, float, float] = (0.4, 0.6, 0.9), flip: float = 0.3
) -> dict[str, Any]:
    """Give a box as TRELLIS.2 gives one: +Z up, front -Y, faces wound at random, material in voxels, values beyond 0..1.

    The front is red, the top green, the right side (of who looks at the front: +X) blue, the rest grey; metallic is 1 where
    x > 0, roughness rises with z.
    """
    box = trimesh.creation.box(extents)
    while box.edges_unique_length.max() > 1.5 / resolution:
        box = box.subdivide()
    faces = box.faces.copy()
    turned = np.random.default_rng(3).random(len(faces)) < flip
    faces[turned] = faces[turned][:, ::-1]
    near = np.array([(x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1)])
    cells = np.unique((np.floor((box.vertices + 0.5) * resolution).astype(int)[:, None] + near).reshape(-1, 3), axis=0)
    centre = (cells + 0.5) / resolution - 0.5
    color = np.full((len(cells), 3), 0.5)
    half = np.array(extents) / 2
    edge = 2.0 / resolution
    color[centre[:, 1] < -half[1] + edge] = (1.7, -0.4, -0.4)
    color[centre[:, 2] > half[2] - edge] = (-0.2, 1.2, 0.0)
    color[centre[:, 0] > half[0] - edge] = (0.0, -0.3, 1.4)
    rest = np.stack([centre[:, 0] > 0, (centre[:, 2] + 0.5), np.ones(len(cells))], axis=1)
    return {"vertices": box.vertices, "faces": faces, "coords": cells, "attrs": np.hstack([color, rest])}


def box_cutout(width: int, height: int, margin: int = 20) -> np.ndarray:
    """Give the cut-out of a grey box."""
    image = np.zeros((height + 2 * margin, width + 2 * margin, 4), np.uint8)
    image[margin:-margin, margin:-margin] = (128, 128, 128, 255)
    return image
