"""Lay up to four atlases side by side on one square sheet.

Stages work on a sheet as if it were one large atlas: UVs run over all of it, a map is one picture. Only packing, which keeps
charts from crossing from one atlas into the next, and what is read by others (packages) know that there are several. A strip
of atlases, with u from 0 to their number, lost: every raster, search and measurement here takes a page to be square.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int, Int32, Shaped

from forge_batch.ops.mesh import PER_VERTEX, Mesh

MOST = 4
"""Atlases on a sheet; the largest, of 4096 texels, make a sheet of 8192, which is what bakes go up to."""


def sheet_side(atlases: int) -> int:
    """Give how many atlases lie along the edge of a sheet that holds so many.

    Raises:
        ValueError: There are none, or more than MOST (a bug of the caller).
    """
    if not 1 <= atlases <= MOST:
        raise ValueError(f"a sheet holds 1 to {MOST} atlases, not {atlases}")
    return 1 if atlases == 1 else 2


def count_atlases(pictures: Sequence[Collection[object]]) -> int:
    """Say on how many atlases the materials of a file lie, by the pictures of each: their number if each has its own, else one.

    Materials that share a picture share its texels, and of materials without pictures nobody can tell.
    """
    every = [picture for own in pictures for picture in set(own)]
    apart = all(pictures) and len(every) == len(set(every))
    return len(pictures) if apart and 1 <= len(pictures) <= MOST else 1


def corner(number: Int[np.ndarray, "*n"], side: int) -> Int[np.ndarray, "*n 2"]:
    """Give column and row of atlases, by number: from the left, then downwards."""
    return np.stack([number % side, number // side], axis=-1)


def faces_atlas(uv: Float[np.ndarray, "v 2"], faces: Int[np.ndarray, "f 3"], atlases: int) -> Int32[np.ndarray, " f"]:
    """Give the atlas on which each face lies, by uv on the sheet."""
    side = sheet_side(atlases)
    column, row = np.clip((uv[faces].mean(axis=1) * side).astype(np.int32), 0, side - 1).T
    return np.asarray(row * side + column, np.int32)


def taken_apart(mesh: Mesh, atlases: int) -> Mesh:
    """Give a mesh of a sheet with uv from 0 to 1 on each atlas, and `atlas`; of a single one the mesh itself.

    Faces are sorted by atlas: three.js draws each run of faces with one material by itself.
    """
    if atlases == 1:
        return mesh
    assert mesh.uv is not None
    side, number = sheet_side(atlases), faces_atlas(mesh.uv, mesh.faces, atlases)
    at = np.zeros((len(mesh.uv), 2), np.float32)
    at[mesh.faces] = corner(number, side)[:, None]
    order = np.argsort(number, kind="stable")
    uv = np.clip(mesh.uv * np.float32(side) - at, 0, 1)
    return replace(mesh, faces=mesh.faces[order], uv=uv, atlas=number[order])


def by_atlas(mesh: Mesh) -> list[tuple[int, Mesh, Bool[np.ndarray, " v"]]]:
    """Divide a mesh that was taken apart: the number of each atlas that has faces, its part, and which vertices that has.

    What lies on one atlas comes back as it is.
    """
    if mesh.atlas is None:
        return [(0, mesh, np.ones(len(mesh.vertices), bool))]
    parts = []
    for number in np.unique(mesh.atlas):
        faces = mesh.faces[mesh.atlas == number]
        kept = np.zeros(len(mesh.vertices), bool)
        kept[faces] = True
        index = np.cumsum(kept, dtype=np.int32) - np.int32(1)
        attributes = {name: rows[kept] for name in PER_VERTEX if (rows := getattr(mesh, name)) is not None}
        parts.append((int(number), Mesh(faces=index[faces], **attributes), kept))
    return parts


def on_sheet(uv: Float[np.ndarray, "v 2"], number: Int[np.ndarray, " v"] | int, atlases: int) -> Float[np.ndarray, "v 2"]:
    """Carry uv on atlases to the sheet that holds them; `number` is the atlas of each."""
    side = sheet_side(atlases)
    return np.asarray((uv + corner(np.asarray(number), side)) / side, uv.dtype)


def cut_out(image: Shaped[np.ndarray, "s s *c"], number: int, atlases: int) -> Shaped[np.ndarray, "t t *c"]:
    """Give the picture of one atlas out of that of the sheet."""
    side = sheet_side(atlases)
    edge = len(image) // side
    column, row = corner(np.array(number), side).tolist()
    return np.ascontiguousarray(image[row * edge : (row + 1) * edge, column * edge : (column + 1) * edge])


def joined(images: Sequence[Shaped[np.ndarray, "t t *c"]]) -> Shaped[np.ndarray, "s s *c"]:
    """Give the picture of the sheet from those of its atlases, all of one size; where there is none, the last one again.

    So what is of one colour on every atlas is so on the sheet.
    """
    side, edge = sheet_side(len(images)), len(images[0])
    sheet = np.empty((side * edge, side * edge, *images[0].shape[2:]), images[0].dtype)
    for number in range(side**2):
        column, row = corner(np.array(number), side).tolist()
        sheet[row * edge : (row + 1) * edge, column * edge : (column + 1) * edge] = images[min(number, len(images) - 1)]
    return sheet
