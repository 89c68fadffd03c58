"""Say for which GPU architectures wheels were built, and which of those wanted they lack.

    python -m forge_batch.backends.vendored.wheels FOLDER 90 120

build_wheels.sh asks this with the interpreter that built them, which has nothing of ours installed: only the standard library
is used. Where there is CUDA's cuobjdump it is asked, else the libraries are read here.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Collection
from pathlib import Path

from forge_batch.backends.vendored.architectures import Architectures, read_architectures

_LISTED = re.compile(r"^(ELF|PTX) file +\d+: .*\.sm_(\d+)[a-z]?\.", re.MULTILINE)


def wheel_architectures(wheel: Path) -> dict[str, Architectures]:
    """Give the architectures of every library in a wheel that holds GPU code, by its path there.

    Raises:
        zipfile.BadZipFile: It is no wheel.
    """
    found = {}
    with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory() as folder:
        for name in archive.namelist():
            if name.endswith(".so"):
                built = _built_for(Path(archive.extract(name, folder)))
                if built.code or built.ptx:
                    found[name] = built
    return found


def lost_architectures(libraries: Collection[Architectures], wanted: Collection[int]) -> list[int]:
    """List the wanted architectures for which some library has neither code nor PTX; all of them if there is no library."""
    return [one for one in wanted if not libraries or not all(built.runs_on(one) for built in libraries)]


def _built_for(library: Path) -> Architectures:
    tool = shutil.which("cuobjdump")
    if tool is None:
        return read_architectures(library)
    command = [tool, "--list-elf", "--list-ptx", str(library)]
    # it ends with 255 where there is no GPU code
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603 - CUDA's own tool
    pairs = {(kind, int(one)) for kind, one in _LISTED.findall(said)}
    return Architectures(
        frozenset(one for kind, one in pairs if kind == "ELF"), frozenset(one for kind, one in pairs if kind == "PTX")
    )


def main(folder: str, *wanted: str) -> int:
    """Print a line for each wheel of a folder; give 1 if one lacks a wanted architecture."""
    numbers = [int(one) for one in wanted]
    by = "cuobjdump" if shutil.which("cuobjdump") else "read from its libraries"
    status = 0
    for wheel in sorted(Path(folder).glob("*.whl")):
        libraries = wheel_architectures(wheel).values()
        lost = ", ".join(f"sm_{one}" for one in lost_architectures(libraries, numbers))
        if lost:
            status = 1
        text = "; ".join(sorted({str(one) for one in libraries})) or "no GPU code"
        sys.stdout.write(f"{wheel.name}: {text} ({by})" + (f"; not for {lost}\n" if lost else "\n"))
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
