"""Make what the page shows of a finished asset out of its package: models by level and map, textures, renders beside inputs.

Made once per package and kept below work/page/, which is safe to delete. One thing is made at a time, whoever asks.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from forge_batch.artifacts import LODS, MESH
from forge_batch.builds import thumbnail
from forge_batch.content.local import replace_file
from forge_batch.errors import ContentError, ForgeError
from forge_batch.source_preview import source_glb

if TYPE_CHECKING:
    import numpy as np

    from forge_batch.ops.mesh import Mesh
    from forge_batch.packages.opened import Opened

FOLDER = "work/page"
SHOWN = ("all maps", "base colour", "normal map", "ORM", "no maps")
"""What a model may be looked at with."""
SOURCE = "Source"
"""What the generator's own mesh is called among the levels of detail."""
TEXTURES = ("base_color", "normal", "orm")
LARGEST = 1024
"""Texels of the edge of a texture that is shown."""
KEPT = 60
"""Packages whose pictures are kept."""
EDGE = 640
_turn, _small = threading.RLock(), threading.Lock()


@dataclass(frozen=True)
class Previews:
    """Make and find the pictures of one package.

    Args:
        home: Where the runner's files lie.
        package: The package.
        lods: Folder of the task that made the levels of detail; where it is gone they are read from the package.
        source: Folder of the task that generated the mesh, if it is still there.
    """

    home: Path
    package: Path
    lods: Path | None = None
    source: Path | None = None

    @property
    def folder(self) -> Path:
        status = self.package.stat()
        mark = f"{self.package.name} {status.st_size} {status.st_mtime_ns}"
        return self.home / FOLDER / hashlib.sha256(mark.encode()).hexdigest()[:16]

    def levels(self) -> int:
        """Count the levels of detail that can be shown: one where the package cannot be read further on this machine."""
        try:
            return len(self._levels())
        except ForgeError:
            return 1

    def model(self, level: int, shown: str) -> Path:
        """Give a GLB of one level with some of its maps. Raises what open_package raises."""
        level, shown = min(max(0, level), self.levels() - 1), shown if shown in SHOWN else SHOWN[0]
        return self._made(f"lod{level}-{SHOWN.index(shown)}.glb", lambda: self._glb(level, shown))

    def source_model(self) -> Path:
        """Give a GLB of the generator's mesh as it came, coarse enough to look at. Raises OSError if it is not there."""
        return self._made("source.glb", lambda: source_glb((self.source or Path()) / MESH.filename))

    def texture(self, name: str) -> Path | None:
        """Give a picture of one texture; None if the package has none of that kind."""
        if name not in TEXTURES:
            return None

        def make() -> bytes:
            image = getattr(self._opened().maps, name)
            return b"" if image is None else _webp(image)

        path = self._made(f"{name}.webp", make)
        return path if path.stat().st_size else None

    def pair(self, view: str, picture: Path) -> tuple[Path, Path]:
        """Give the input picture of a view, and the render from the same side at the same size."""
        from forge_batch.ops.turntable import AZIMUTHS, LIGHT  # noqa: PLC0415 - heavy

        names = f"input-{view}.webp", f"render-{view}.webp"
        folder = self.folder
        if view not in AZIMUTHS:
            raise ContentError(f"there is no view {view[:20]}", f"name one of {', '.join(AZIMUTHS)}")

        def make() -> bytes:
            from forge_batch.ops.image import read_image  # noqa: PLC0415 - heavy
            from forge_batch.ops.render import beside, on_paper, render  # noqa: PLC0415 - heavy

            opened, azimuth = self._opened(), AZIMUTHS[view]
            after = render(opened.mesh, opened.maps, azimuth, 0.0, EDGE, azimuth + LIGHT)
            replace_file(folder / names[0], _webp(beside(read_image(picture)[0], after[..., 3])))
            return _webp(on_paper(after))

        return folder / names[0], self._made(names[1], make)

    # ------------------------------------------------------------------------------------------------------------------

    def _made(self, name: str, make: Callable[[], bytes]) -> Path:
        path = self.folder / name
        if not path.is_file():
            with _turn:
                if not path.is_file():
                    replace_file(path, make())
                    _sweep(path.parent)
        return path

    def _opened(self) -> Opened:
        from forge_batch.packages.opened import open_package  # noqa: PLC0415 - heavy

        return open_package(self.package)

    def _levels(self) -> list[Mesh]:
        from forge_batch.ops.mesh import load_meshes, save_meshes  # noqa: PLC0415 - heavy
        from forge_batch.packages.opened import package_levels  # noqa: PLC0415 - heavy

        def make() -> bytes:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / LODS.filename
                save_meshes(path, {f"lod{n}": mesh for n, mesh in enumerate(package_levels(self.package))})
                return path.read_bytes()

        path = (self.lods or Path()) / LODS.filename
        meshes, _ = load_meshes(path if self.lods and path.is_file() else self._made(LODS.filename, make))
        return [meshes[name] for name in sorted(meshes)]

    def _glb(self, level: int, shown: str) -> bytes:
        from forge_batch.ops.glb import Look, encode_glb  # noqa: PLC0415 - heavy
        from forge_batch.ops.image_file import encode_png, shrunk  # noqa: PLC0415 - heavy

        opened = self._opened()
        mesh = self._levels()[level] if self.levels() > 1 else opened.mesh
        maps = {name: _eight(image) for name in TEXTURES if (image := getattr(opened.maps, name)) is not None}
        chosen: Mapping[str, np.ndarray] = {
            "all maps": maps,
            "base colour": {"base_color": maps["base_color"]} if "base_color" in maps else {},
            "normal map": {"base_color": maps["normal"]} if "normal" in maps else {},
            "ORM": {"base_color": maps["orm"]} if "orm" in maps else {},
            "no maps": {},
        }[shown]
        pngs = {name: encode_png(shrunk(image, LARGEST)) for name, image in chosen.items()}
        return encode_glb(opened.asset, mesh, [Look(opened.asset, pngs)])


def picture(home: Path, source: Path, edge: int, *, close: bool = False) -> Path:
    """Give a small copy of a picture as WebP, made once; `close`: without the clear margin around what is seen.

    Raises:
        OSError: It cannot be read.
    """
    status = source.stat()
    mark = f"{source} {status.st_size} {status.st_mtime_ns} {edge} {close}"
    path = home / FOLDER / "small" / f"{hashlib.sha256(mark.encode()).hexdigest()[:24]}.webp"
    with _small:  # several viewers ask for the same picture at once
        if not path.is_file():
            try:
                replace_file(path, thumbnail(source.read_bytes(), edge, close=close))
            except (ForgeError, ValueError, SyntaxError) as error:
                raise OSError(f"{source.name} cannot be shown ({error})") from error
    return path


def _eight(image: np.ndarray) -> np.ndarray:
    import numpy as np  # noqa: PLC0415 - heavy

    return (image >> 8).astype(np.uint8) if image.dtype == np.uint16 else image


def _webp(image: np.ndarray) -> bytes:
    from forge_batch.ops.image_file import encode_webp, shrunk  # noqa: PLC0415 - heavy

    return encode_webp(shrunk(_eight(image), LARGEST), 85)


def _sweep(folder: Path) -> None:
    """Drop the pictures of packages that were not looked at for longest."""
    others = [path for path in folder.parent.iterdir() if path.is_dir() and path.name != "small" and path != folder]
    others.sort(key=lambda path: path.stat().st_mtime)
    for path in others[: max(0, len(others) - KEPT)]:
        shutil.rmtree(path, ignore_errors=True)
