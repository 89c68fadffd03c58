"""Measure what makes a mesh sound, and how far it is from the shape it was made from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Int32

from forge_batch.ops.components import component_volumes, face_components, find_floaters, find_inner_shells
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.normals import weld_index
from forge_batch.ops.outline_overlap import overlap
from forge_batch.ops.topology import face_areas, find_edges
from forge_batch.ops.zbuffer import MARGIN, frame_view, silhouette

VIEWS = tuple((45.0 * k + 7.0, elevation) for elevation in (-20.0, 10.0, 45.0) for k in range(8))
"""Azimuth and elevation, degrees, of the 24 views that outlines are compared in; turned, so that no box is seen square."""

OUTLINE = 512  # pixels
FINER = 3  # times: the most that outlines are drawn larger, to tell half a voxel
FLOATER = 0.001  # share of the area
SLIVER = 1e-10  # share of the squared diagonal


class Soundness(NamedTuple):
    """Be counts that a sound mesh has none of, and the share of area inside other parts."""

    open_edges: int
    crowded_edges: int
    conflicting_edges: int
    inverted_parts: int
    slivers: int
    floaters: int
    inner_share: float


def weld(mesh: Mesh) -> Mesh:
    """Give the mesh with equal positions as one vertex, without attributes; no face is dropped."""
    vertices, index = weld_index(mesh.vertices)
    return Mesh(vertices, index[mesh.faces].astype(np.int32))


def count_open_edges(mesh: Mesh) -> int:
    """Count edges with one face after welding: the holes a viewer sees, not the seams of the atlas."""
    return int((find_edges(weld(mesh).faces).uses == 1).sum())


def measure_soundness(mesh: Mesh) -> Soundness:
    """Count defects after welding equal positions.

    A part is what hangs together across edges. A part counts as inverted if it encloses a negative volume without lying inside
    another one (a cavity faces inwards rightly). A floater has less than a thousandth of the area and is not the largest part.
    """
    welded = weld(mesh)
    edges = find_edges(welded.faces)
    conflicting = (edges.uses == 2) & (edges.balance != 0)
    labels = face_components(welded.faces)
    volumes = component_volumes(welded, labels)
    areas = face_areas(welded)
    inner = find_inner_shells(welded, labels) if len(volumes) > 1 else np.zeros(len(volumes), bool)
    floating = find_floaters(welded, labels, FLOATER)
    noise = 1e-9 * mesh.diagonal**3
    return Soundness(
        int((edges.uses == 1).sum()),
        int((edges.uses > 2).sum()),
        int(conflicting.sum()),
        int(((volumes < -noise) & ~inner).sum()),
        int((areas < SLIVER * mesh.diagonal**2).sum()),
        int(floating.sum()),
        float(areas[inner[labels]].sum() / max(areas.sum(), 1e-30)),
    )


class Outlines(NamedTuple):
    """Be the outlines of a reference in `VIEWS`.

    Attributes:
        masks: Pixels inside, one picture a view.
        bounds: The box they were framed by.
        reach: Half a voxel in pixels, likewise; 0 where nothing is forgiven.
        size: Edge of the pictures, pixels.
    """

    masks: list[np.ndarray]
    bounds: np.ndarray
    reach: list[float]
    size: int


def draw_outlines(mesh: Mesh, grain: float = 0.0) -> Outlines:
    """Draw a reference's outlines once, to compare several meshes with.

    A surface made of voxels is known to half a voxel: its outline runs along stairs and noise that are no shape, and that no
    finished mesh should have. To tell half of a voxel that is not much larger than a pixel, the pictures are up to `FINER`
    times as large; of still smaller voxels nothing is forgiven.

    Args:
        mesh: The reference.
        grain: Edge of its voxels, metres; 0 if it has none.
    """
    bounds = mesh.bounds
    reach = np.array([0.25 * grain * OUTLINE / frame_view(bounds, a, e).half for a, e in VIEWS])  # half a voxel, in pixels
    finer = int(np.clip(np.ceil(1.0 / max(float(reach.min()), 1e-9)), 1, FINER)) if grain else 1
    size = OUTLINE * finer
    masks = [silhouette(mesh.vertices, mesh.faces, a, e, size, bounds) for a, e in VIEWS]
    return Outlines(masks, bounds, [finer * float(r) if finer * r >= 0.5 else 0.0 for r in reach], size)


def _near_outline(mask: Bool[np.ndarray, "s s"], reach: float) -> Bool[np.ndarray, "s s"]:
    """Mark pixels whose middle lies within `reach` pixels of the outline, which runs half a pixel from the nearest middles."""
    most = reach + 0.5
    step = np.arange(-int(most), int(most) + 1)
    disc = (np.hypot(*np.meshgrid(step, step)) <= most).astype(np.uint8)
    inside, outside = (cv2.dilate(side.astype(np.uint8), disc) for side in (mask, ~mask))
    return np.asarray((inside & outside) > 0)


def compare_outlines(mesh: Mesh, reference: Outlines) -> float:
    """Give intersection over union with a reference's outlines, 0..1, mean over all views.

    Where both outlines run within half a voxel of a pixel, it agrees. So an outline that lies half a voxel off is the same
    one, and of one that lies a voxel off everything counts, as does what only one of both has, however thin it is.
    """
    return float(np.mean([overlap(drawn, mask) for drawn, mask in _pairs(mesh, reference)]))


def worst_outline(mesh: Mesh, reference: Outlines) -> tuple[np.ndarray, np.ndarray]:
    """Give the mesh's and the reference's outline in the view where they agree least; what is forgiven agrees."""
    return min(_pairs(mesh, reference), key=lambda pair: overlap(*pair))


def _pairs(mesh: Mesh, reference: Outlines) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for (azimuth, elevation), mask, reach in zip(VIEWS, reference.masks, reference.reach, strict=True):
        drawn = silhouette(mesh.vertices, mesh.faces, azimuth, elevation, reference.size, reference.bounds)
        if reach:
            forgiven = _near_outline(mask, reach) & _near_outline(drawn, reach)
            drawn = np.where(forgiven, mask, drawn)
        yield drawn, mask


def switch_error(deviation: float, diameter: float, screen_size: float) -> float:
    """Give the error in pixels that a level of detail shows where it takes over.

    Args:
        deviation: Distance to LOD0, metres.
        diameter: Of the bounding sphere, metres.
        screen_size: Share of the screen's height the sphere spans there (Unreal's screen size).

    Returns:
        Pixels of a screen 1080 high.
    """
    return deviation / max(diameter, 1e-12) * screen_size * 1080.0


def pivot_offset(vertices: Float32[np.ndarray, "v 3"], pivot: str) -> float:
    """Give how far the origin is from the box's bottom centre, or its centre, in metres; 0 where the pivot is free."""
    low, high = vertices.min(axis=0).astype(np.float64), vertices.max(axis=0).astype(np.float64)
    wanted = 0.5 * (low + high)
    if pivot == "none":
        return 0.0
    if pivot == "bottom_center":
        wanted[1] = low[1]
    return float(np.linalg.norm(wanted))


def front_overlap(
    vertices: Float32[np.ndarray, "v 3"], faces: Int32[np.ndarray, "f 3"], mask: Bool[np.ndarray, "h w"], yaw: float
) -> float:
    """Give intersection over union, 0..1, of `front_outlines`. Perspective in the picture costs a few percent."""
    return overlap(*front_outlines(vertices, faces, mask, yaw))


def front_outlines(
    vertices: Float32[np.ndarray, "v 3"], faces: Int32[np.ndarray, "f 3"], mask: Bool[np.ndarray, "h w"], yaw: float
) -> tuple[Bool[np.ndarray, "k k"], Bool[np.ndarray, "k k"]]:
    """Draw the outline seen from the front and the front picture's, both stretched to their own box.

    Args:
        vertices: Positions, metres.
        faces: Corners.
        mask: Where the front picture shows the object.
        yaw: Degrees by which `place` turned the object about +Y, so that its front picture shows it from this azimuth.
    """

    def boxed(outline: np.ndarray) -> np.ndarray:
        x, y, width, height = cv2.boundingRect((outline > 0.5).astype(np.uint8))
        cut = outline[y : y + max(height, 1), x : x + max(width, 1)].astype(np.float32)
        return np.asarray(cv2.resize(cut, (256, 256), interpolation=cv2.INTER_AREA) > 0.5)

    bounds = np.stack([vertices.min(axis=0), vertices.max(axis=0)]) * np.float32(MARGIN)
    return boxed(silhouette(vertices, faces, yaw, 0.0, OUTLINE, bounds).astype(np.float32)), boxed(mask.astype(np.float32))
