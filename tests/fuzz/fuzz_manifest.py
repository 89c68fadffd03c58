"""Fuzz everything that reads a content folder's text: manifests, presets, forge.yaml. Coverage-guided, by atheris.

python -m tests.fuzz.fuzz_manifest FOLDER SECONDS     FOLDER takes the corpus and, in crash-*, an input that failed

Whatever the bytes: no exception but ManifestError, no input over a second, no file read outside the content folder, nothing
run, and the process never grows by more than 200 MiB.
"""

from __future__ import annotations

import hashlib
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["forge_batch"], enable_loader_override=False):
    from forge_batch import manifest as language
    from forge_batch import presets, problem_text

ROOT = Path(__file__).parents[2]
SECONDS = 1.0
GROWTH = 200 * 2**20  # bytes
FILES = ("manifests/crate.yaml", "presets/mine.yaml", "forge.yaml", "manifests/crate.yaml", "presets/mine.json")
"""What an input is written to, by its hash."""

SOUND = {
    "manifests/crate.yaml": b"forge: 1\npreset: mine\nimages: crate\nplace: {height_cm: 60}\n",
    "presets/mine.yaml": b"extends: prop_UE5_hero\nunwrap: {padding: 4}\n",
    "forge.yaml": b"project: {commercial: true, territory: DE}\n",
}


DANGEROUS = ("exec", "compile", "os.", "subprocess.", "socket.", "ctypes.", "shutil.", "marshal.", "pickle.")
"""What reading text has no business with, by the beginnings of audit events."""


class Guard:
    """Watch what Python is about to do while an input is read, through its audit hook."""

    def __init__(self, content: Path) -> None:
        self.allowed = (f"{content}/", f"{presets.FOLDER}/")
        self.exact = {str(content), str(presets.FOLDER)}
        self.on = False
        self.offence = ""
        sys.addaudithook(self.hear)

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event in {"open", "os.listdir", "os.scandir"}:
            path = str(arguments[0])
            if ".." in path or not (path.startswith(self.allowed) or path in self.exact):
                self.offence = f"{event} {path!r}"
        elif event.startswith(
            ("exec", "compile", "os.", "subprocess.", "socket.", "ctypes.", "shutil.", "marshal.", "pickle.")
        ):
            self.offence = f"{event} {arguments!r}"


def corpus() -> Iterator[bytes]:
    """Give what the tests hold as first inputs."""
    for path in sorted((ROOT / "tests" / "manifests").glob("*valid/*.yaml")):
        yield path.read_bytes()
    yield from SOUND.values()
    for path in presets.FOLDER.glob("*.yaml"):
        yield path.read_bytes()


def make_folder(root: Path) -> Path:
    """Make a content folder with one asset, and the corpus beside it."""
    content = root / "content"
    for name in ("manifests", "presets", "inbox/crate"):
        (content / name).mkdir(parents=True)
    (content / "inbox" / "crate" / "front.png").touch()
    (root / "corpus").mkdir()
    for data in corpus():
        (root / "corpus" / hashlib.sha256(data).hexdigest()).write_bytes(data)
    return content.resolve()


def main() -> None:
    """Fuzz for as many seconds as the command line says."""
    folder, seconds = Path(sys.argv[1]), int(sys.argv[2])
    content = make_folder(folder)
    guard = Guard(content)

    def read(data: bytes) -> float:
        """Read a content folder of which one file is this; give the seconds it took."""
        target = FILES[hashlib.sha256(data).digest()[0] % len(FILES)]
        for name in FILES:
            (content / name).unlink(missing_ok=True)
        for name, sound in SOUND.items():
            if (name, target) != ("presets/mine.yaml", "presets/mine.json"):
                (content / name).write_bytes(sound)
        (content / target).write_bytes(data)
        start = time.process_time()
        guard.on, guard.offence = True, ""
        try:
            loaded = language.load_manifests(content)
            problem_text.all_problems(loaded.problems, "text", content, 1)
        finally:
            guard.on = False
        return time.process_time() - start

    def check(data: bytes) -> None:
        taken = read(data)
        assert not guard.offence, guard.offence
        assert taken < SECONDS, f"{taken:.1f} s"
        grown = _most_memory() - before
        assert grown < GROWTH, f"{grown / 2**20:.0f} MiB"

    for data in corpus():
        read(data)  # what is imported on the way is imported now
    before = _most_memory()
    flags = [f"-max_total_time={seconds}", "-max_len=20000", "-timeout=5", "-print_final_stats=1", "-verbosity=1"]
    atheris.Setup([sys.argv[0], *flags, f"-artifact_prefix={folder}/", str(folder / "corpus")], check)
    atheris.Fuzz()


def _most_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # bytes; Linux counts KiB


if __name__ == "__main__":
    main()
