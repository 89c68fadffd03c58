"""Say of a manifest that nobody has committed yet exactly what `validate --price` would say. Nothing is kept."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from forge_batch.content.contract import ContentRepo
from forge_batch.dry_run import priced
from forge_batch.errors import ForgeError
from forge_batch.intake import Order, take_in_files
from forge_batch.plan_text import priced_text
from forge_batch.presets import Presets
from forge_batch.problem_text import all_problems
from forge_batch.yaml_file import MAX_BYTES, read_yaml

PICTURES = 8
"""Files that an image set may be tried with."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_. -]{0,80}")


def judge(
    content: ContentRepo,
    name: str,
    text: str,
    pictures: Mapping[str, Path],
    queue: Sequence[Order],
    now: datetime,
    workers: int,
) -> str:
    """Give the words of `validate --price` for one manifest.

    Args:
        content: The content folder it would be committed to: its forge.yaml, presets, pictures and queue count.
        name: What its file would be called, without `.yaml`.
        text: The manifest.
        pictures: Pictures that would be committed with it, by file name; without any, those of the content folder.
        queue: The orders that it would wait among.
        now: With a time zone.
        workers: Assets that are worked on at a time.
    """
    stem = Path(name.strip()[:90] or "my_asset").stem
    if not _NAME.fullmatch(stem):
        stem = "my_asset"
    with tempfile.TemporaryDirectory(prefix="forge-trial-") as folder:
        root = Path(folder)
        path = root / "manifests" / f"{stem}.yaml"
        path.parent.mkdir()
        path.write_bytes(text.encode()[: MAX_BYTES + 1])
        _settings(content.root, root)
        _pictures(content.root, root, path, stem, pictures)
        intake = take_in_files(root, [path])
        asked = {order.manifest.asset for order in intake.orders}
        others = [order for order in queue if order.manifest.asset not in asked]
        try:
            price = priced(content, [*intake.orders, *others], now, workers, asked)
        except ForgeError as error:
            return f"{all_problems(intake.problems, 'text', root, intake.files)}\n\nno price: {error}"
        return priced_text(price, intake.problems, "text", root, intake.files)


def _settings(content: Path, root: Path) -> None:
    """Bring what lies below every manifest."""
    if (content / "forge.yaml").is_file():
        shutil.copyfile(content / "forge.yaml", root / "forge.yaml")
    if (content / "presets").is_dir():
        names = set(Presets(content).names())
        for preset in (content / "presets").iterdir():
            if preset.stem in names and preset.is_file() and not preset.is_symlink():
                (root / "presets").mkdir(exist_ok=True)
                shutil.copyfile(preset, root / "presets" / preset.name)


def _pictures(content: Path, root: Path, path: Path, stem: str, pictures: Mapping[str, Path]) -> None:
    """Lay the image set out where the manifest looks for it: what was given, else what the content folder has."""
    inbox = root / "inbox"
    inbox.mkdir()
    tree, _ = read_yaml(path, path.name)
    wish = tree.plain() if tree is not None and isinstance(tree.content, dict) else {}
    images = wish.get("images", wish.get("asset", stem)) if isinstance(wish, dict) else stem
    names = [images] if isinstance(images, str) else []
    if isinstance(images, dict):
        names = [str(one).split("/", maxsplit=1)[0] for one in images.values() if isinstance(one, str)]
    if (content / "inbox").is_dir():  # known by name alone, for "did you mean"
        for there in (content / "inbox").iterdir():
            if there.is_dir() and not there.is_symlink():
                (inbox / there.name).mkdir()
    for name in {one for one in names if _NAME.fullmatch(one)}:
        files = dict(pictures)
        there = content / "inbox" / name
        if not files and there.is_dir() and not there.is_symlink():
            files = {one.name: one for one in there.iterdir() if one.is_file() and not one.is_symlink()}
        for file, source in list(files.items())[:PICTURES]:
            (inbox / name).mkdir(exist_ok=True)
            shutil.copyfile(source, inbox / name / Path(file).name)
