"""Check array shapes on every call of ops during tests, and turn skips into failures where all must run."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

from tests.hub_server import HubServer

os.environ["HF_HUB_DISABLE_XET"] = "1"  # the client's own switch for Hubs without xet; read when it is imported
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="forge-tests-hub-")
os.environ.pop("HF_TOKEN", None)
atexit.register(shutil.rmtree, os.environ["HF_HOME"], ignore_errors=True)

OPS = Path(__file__).parent.parent / "forge_batch" / "ops"
# what is called warp_... is compiled by Warp
CHECKED = [f"forge_batch.ops.{path.stem}" for path in OPS.glob("*.py") if not path.stem.startswith("warp_")]
_hook = install_import_hook(CHECKED, "beartype.beartype")

NO_SKIPS = os.environ.get("FORGE_NO_SKIPS", "") == "1"
"""Set where everything is installed: there a test that did not run is a test that failed."""


def _fail(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure that says why it was skipped; an expected failure stays one."""
    if not NO_SKIPS or report.outcome != "skipped" or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"{report.nodeid} was skipped, and FORGE_NO_SKIPS=1 forbids it: {reason.removeprefix('Skipped: ')}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Judge single tests."""
    report = yield
    _fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Judge modules that skip as a whole."""
    report = yield
    _fail(report)
    return report


@pytest.fixture
def hub() -> Iterator[HubServer]:
    """Give a Hub of our own on loopback, without repos."""
    server = HubServer()
    server.start()
    yield server
    server.stop()
