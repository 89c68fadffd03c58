from __future__ import annotations

import struct
from pathlib import Path

import pytest

from forge_batch.backends.vendored.architectures import Architectures, read_architectures


def fat(*entries: tuple[int, int, bytes]) -> bytes:
    """Make a fat binary of entries (kind: 1 PTX or 2 code, architecture, payload) as the loader's structures describe it."""
    body = b""
    for kind, architecture, payload in entries:
        body += struct.pack(
            "<HHIIIIIIIIIQQQ", kind, 0x101, 64, len(payload), 0, len(payload), 0, 0, architecture, 64, 0, 0, 0, 0
        )
        body += payload
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(body)) + body


def test_every_architecture_of_a_library_is_found(tmp_path: Path) -> None:
    """Two fat binaries among other bytes: code for 90 and 120, PTX for 120."""
    library = tmp_path / "_C.so"
    library.write_bytes(b"\x7fELF" + bytes(99) + fat((2, 90, b"cubin" * 9)) + bytes(7) + fat((2, 120, b"c"), (1, 120, b"ptx")))
    found = read_architectures(library)
    assert found == Architectures(frozenset({90, 120}), frozenset({120}))
    assert str(found) == "sm_90, sm_120, compute_120"


def test_chance_and_cut_numbers_are_passed_over(tmp_path: Path) -> None:
    """The magic number in data, or at the very end of a cut file, is no fat binary; neither is an empty or a plain file."""
    magic = struct.pack("<I", 0xBA55ED50)
    library = tmp_path / "a.so"
    library.write_bytes(magic + b"\xff" * 40 + fat((2, 80, b"x")) + magic)
    assert read_architectures(library).code == {80}
    library.write_bytes(b"")
    assert str(read_architectures(library)) == "no GPU code"


@pytest.mark.parametrize(
    ("code", "ptx", "capability", "runs"),
    [
        ({90}, set(), 90, True),
        ({90}, set(), 120, False),
        ({80}, set(), 89, True),
        ({89}, set(), 80, False),
        ({80}, {80}, 120, True),
        (set(), {120}, 90, False),
    ],
)
def test_code_runs_on_its_generation_and_ptx_on_newer_cards(code: set[int], ptx: set[int], capability: int, runs: bool) -> None:
    """CUDA's rules: machine code serves later minor versions of its major one, PTX serves everything later."""
    assert Architectures(frozenset(code), frozenset(ptx)).runs_on(capability) is runs
