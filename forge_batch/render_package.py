"""Draw what is in a package, so that a person can judge it before an engine has it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from forge_batch.content.local import replace_file
from forge_batch.errors import ForgeError
from forge_batch.manifest import parse_manifest
from forge_batch.ops.image import VIEWS, read_image
from forge_batch.ops.image_file import encode_png
from forge_batch.ops.turntable import before_after, turntable
from forge_batch.packages.opened import Opened, open_package

FRAMES, SIZE = 24, 512
"""Pictures of a turn, and their edge in pixels."""


def render_package(path: Path, content: Path, out: Path | None, frames: int = FRAMES, size: int = SIZE) -> list[Path]:
    """Draw a package's turntable and a sheet that lays the input pictures over the result.

    Args:
        path: The package.
        content: The content folder whose inbox/ holds the pictures it was made from; without them the sheet shows the mesh
            without its maps instead.
        out: Where the pictures go; by default a folder in the current one, named after the package.
        frames: Pictures of a full turn.
        size: Their edge, pixels.

    Returns:
        The files written: `sheet.png`, then `turn_000.png` onwards, named by degrees.

    Raises:
        BackendUnavailable, ContentError, StageError: See open_package; ContentError also if `out` cannot be written.
    """
    opened = open_package(path)
    folder = out or Path(f"{path.stem}_render")
    files = [folder / "sheet.png"]
    replace_file(files[0], encode_png(before_after(opened.mesh, opened.maps, _pictures(opened, content))))
    for index, picture in enumerate(turntable(opened.mesh, opened.maps, frames, size)):
        files.append(folder / f"turn_{round(360 * index / frames):03d}.png")
        replace_file(files[-1], encode_png(picture))
    return files


def _pictures(opened: Opened, content: Path) -> dict[str, np.ndarray]:
    """Read the pictures that the package was made from, if they still lie where its manifest says."""
    try:
        paths = parse_manifest(opened.manifest, None, "manifest.yaml").image_paths(content)
        return {view: read_image(paths[view])[0] for view in VIEWS if view in paths}
    except (ForgeError, OSError):
        return {}
