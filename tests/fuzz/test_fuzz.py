from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLANTED = """
from pathlib import Path
from tests.fuzz.fuzz_manifest import Guard
guard = Guard(Path("/content"))
guard.on = True
for act in ({acts}):
    guard.offence = ""
    try:
        act()
    except OSError:
        pass
    print(bool(guard.offence))
"""


def python(*words: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the checkout."""
    return subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.slow
def test_half_a_minute_of_fuzzing_finds_nothing(tmp_path: Path) -> None:
    """Coverage-guided input to manifests, presets and forge.yaml breaks no promise of the fuzzer's first lines."""
    child = python("-m", "tests.fuzz.fuzz_manifest", str(tmp_path), "25")
    assert child.returncode == 0, child.stderr[-2000:]
    done = re.search(r"Done (\d+) runs", child.stderr)
    assert done
    assert int(done[1]) > 1000


def test_the_fuzzer_sees_what_it_looks_for() -> None:
    """Its guard notices files outside the content folder, programs and code that are run, and lets the folder's files pass."""
    acts = [
        'lambda: open("/etc/hostname").close()',
        'lambda: open("/content/../etc/hostname").close()',
        'lambda: __import__("os").system("true")',
        'lambda: eval("1 + 1")',
        'lambda: open("/content/manifests/a.yaml").close()',
    ]
    child = python("-c", PLANTED.format(acts=", ".join(acts)))
    assert child.stdout.split() == ["True", "True", "True", "True", "False"], child.stderr[-2000:]
