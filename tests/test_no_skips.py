from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SKIPS = {
    "call": """
import pytest

def test_it():
    pytest.skip("no tool for a call")
""",
    "mark": """
import pytest

@pytest.mark.skipif(True, reason="no tool for a mark")
def test_it():
    pass
""",
    "fixture": """
import pytest

@pytest.fixture
def tool():
    pytest.skip("no tool for a fixture")

def test_it(tool):
    pass
""",
    "module": """
import pytest

pytest.skip("no tool for a module", allow_module_level=True)
""",
}
EXPECTED_FAILURE = """
import pytest

@pytest.mark.xfail(reason="known")
def test_it():
    assert False
"""


def run_pytest(folder: Path, no_skips: str) -> subprocess.CompletedProcess[str]:
    """Run pytest with our hooks on tests of their own: one skip of each kind and one expected failure."""
    for name, source in {**SKIPS, "expected": EXPECTED_FAILURE}.items():
        (folder / f"test_{name}.py").write_text(source)
    plugins = ["-p", "tests.conftest", "-p", "no:cacheprovider"]
    options = ["-q", "--import-mode=importlib", "--continue-on-collection-errors", "-c", os.devnull]
    command = [sys.executable, "-m", "pytest", *plugins, *options, str(folder)]
    environment = {**os.environ, "FORGE_NO_SKIPS": no_skips}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True, timeout=100)


def test_skips_are_failures_where_they_are_forbidden(tmp_path: Path) -> None:
    """With FORGE_NO_SKIPS=1 a skip from a test, a mark, a fixture or a module fails with its reason; an xfail stays one."""
    done = run_pytest(tmp_path, "1")
    assert done.returncode == 1, done.stdout
    assert "1 failed, 1 xfailed, 3 errors" in done.stdout
    assert set(re.findall(r"FORGE_NO_SKIPS=1 forbids it: no tool for a (\w+)", done.stdout)) == set(SKIPS)


def test_skips_are_skips_elsewhere(tmp_path: Path) -> None:
    """Without the variable the same run is fine."""
    done = run_pytest(tmp_path, "")
    assert done.returncode == 0, done.stdout
    assert "4 skipped, 1 xfailed" in done.stdout
