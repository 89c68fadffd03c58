"""Check array shapes on every call of ops during tests, and turn skips into failures where all must run."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest
from jaxtyping import install_import_hook

_hook = install_import_hook("forge_batch.ops", "beartype.beartype")

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
