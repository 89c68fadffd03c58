"""Write a zip whose bytes depend on nothing but what is in it."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip can hold
STORED = {".png", ".zip", ".jpg"}  # compressed already


def write_zip(path: Path, files: Mapping[str, bytes]) -> None:
    """Write files by name, sorted, with a fixed date, fixed rights and a fixed compression level."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            entry.compress_type = zipfile.ZIP_STORED if Path(name).suffix in STORED else zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[name], compresslevel=6)
