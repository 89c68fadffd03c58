from __future__ import annotations

from pathlib import Path

import pytest

from forge_batch.errors import BackendUnavailable
from forge_batch.executors.choose import EXECUTORS, Access, choose_executor
from forge_batch.executors.local import LocalExecutor
from forge_batch.executors.windowed import WindowedExecutor
from forge_batch.project import Project

FULL = Access("me/space", "a secret of sixteen characters", "hf_x")


def test_this_machine_is_enough_for_local(tmp_path: Path) -> None:
    """The local executor needs nothing."""
    executor = choose_executor("local", 2, tmp_path, Project(), Access())
    assert isinstance(executor, LocalExecutor)
    assert EXECUTORS == ("local", "zero_gpu", "dask")


@pytest.mark.parametrize(
    ("name", "access", "message"),
    [
        ("zero_gpu", Access(), "needs FORGE_SPACE, FORGE_SECRET, HF_TOKEN"),
        ("zero_gpu", Access("me/space", "s", ""), "needs HF_TOKEN"),
        ("dask", Access(), "needs FORGE_CLUSTER"),
        ("dask", Access(cluster="tcp://127.0.0.1:9"), "no Dask scheduler answers at tcp://127.0.0.1:9"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, name: str, access: Access, message: str) -> None:
    """An executor that cannot be made says which variable or server is missing."""
    with pytest.raises(BackendUnavailable, match=message):
        choose_executor(name, 2, tmp_path, Project(), access)


def test_zero_gpu_counts_against_the_projects_allowance(tmp_path: Path) -> None:
    """The budget is the project's, with its ledger, and what may be paid for."""
    project = Project(allowance="zerogpu-pro", allow_paid_seconds=60)
    executor = choose_executor("zero_gpu", 2, tmp_path, project, FULL)
    assert isinstance(executor, WindowedExecutor)
    budget = executor.budget
    assert (budget.allowance.name, budget.allow_paid_seconds) == ("zerogpu-pro", 60)
    assert budget.ledger.path == tmp_path / "state" / "ledger.jsonl"


def test_secrets_are_not_shown() -> None:
    """Neither the secret nor the token is in the text of the object."""
    assert "secret" not in repr(FULL).replace("secret=", "")
    assert "hf_x" not in repr(FULL)
