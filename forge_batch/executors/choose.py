"""Make the executor that was asked for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from forge_batch.errors import BackendUnavailable
from forge_batch.executors.contract import Executor
from forge_batch.project import Project
from forge_batch.quota import Budget, Ledger

EXECUTORS = ("local", "zero_gpu", "dask")


@dataclass(frozen=True)
class Access:
    """Say how to reach what is not on this machine; empty where nobody said.

    Attributes:
        space: `owner/name` of the Space whose GPU is used.
        secret: The one that the Space's endpoint was made with.
        token: Of the Space's owner on the Hub.
        endpoint: Address of the Hub.
        cluster: Address of a Dask scheduler.
    """

    space: str = ""
    secret: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    endpoint: str = "https://huggingface.co"
    cluster: str = ""


def budget_of(root: Path, project: Project, access: Access) -> Budget:
    """Hold a project's allowance against its ledger, or against the platform's own count where there is a token to ask with.

    Args:
        root: Where the runner's files lie.
        project: The settings.
        access: Its token and endpoint.
    """
    ledger = Ledger(root / "state" / "ledger.jsonl")
    if not (project.profile.platform and access.token):
        return Budget(project.profile, ledger, project.allow_paid_seconds)
    from forge_batch.content.hub_quota import read_quota  # noqa: PLC0415 - only where somebody is asked

    return Budget(project.profile, ledger, project.allow_paid_seconds, lambda: read_quota(access.token, access.endpoint))


def choose_executor(name: str, workers: int, root: Path, project: Project, access: Access) -> Executor:
    """Make an executor by name.

    Args:
        name: One of EXECUTORS.
        workers: Processes for CPU work on this machine.
        root: The content folder, which holds the ledger.
        project: Its settings.
        access: How to reach the others.

    Raises:
        BackendUnavailable: Something is missing; the hint says what to set or install.
    """
    if name == "zero_gpu":
        return _zero_gpu(workers, root, project, access)
    if name == "dask":
        return _dask(access)
    from forge_batch.executors.local import LocalExecutor  # noqa: PLC0415 - one of three

    return LocalExecutor(workers)


def _zero_gpu(workers: int, root: Path, project: Project, access: Access) -> Executor:
    from forge_batch.executors.windowed import WindowedExecutor  # noqa: PLC0415 - one of three
    from forge_batch.executors.zero_gpu import ZeroGpu, request_factor  # noqa: PLC0415 - one of three

    missing = [
        variable
        for variable, value in {"FORGE_SPACE": access.space, "FORGE_SECRET": access.secret, "HF_TOKEN": access.token}.items()
        if not value
    ]
    if missing:
        raise BackendUnavailable(f"the executor zero_gpu needs {', '.join(missing)}", "set them in the environment")
    try:
        import gradio_client  # noqa: PLC0415 - one of three
    except ModuleNotFoundError:
        raise BackendUnavailable("the executor zero_gpu needs gradio_client", "pip install 'forge-batch[page]'") from None
    allowance = project.profile
    if allowance.platform and (factor := request_factor()):
        allowance = replace(allowance, request_factor=factor)
    budget = replace(budget_of(root, project, access), allowance=allowance)
    gpu = ZeroGpu(
        access.space, access.secret, allowance, lambda space: gradio_client.Client(space, token=access.token, verbose=False)
    )
    return WindowedExecutor(workers, gpu, budget)


def _dask(access: Access) -> Executor:
    from forge_batch.executors.dask import DaskExecutor  # noqa: PLC0415 - one of three

    if not access.cluster:
        raise BackendUnavailable("the executor dask needs FORGE_CLUSTER", "set it to the address of the scheduler")
    try:
        from distributed import Client  # noqa: PLC0415 - one of three
    except ModuleNotFoundError:
        raise BackendUnavailable("the executor dask needs distributed", "pip install 'forge-batch[cluster]'") from None
    try:
        return DaskExecutor(Client(access.cluster, timeout=20))
    except OSError as error:
        raise BackendUnavailable(
            f"no Dask scheduler answers at {access.cluster} ({error})", "start one: dask scheduler"
        ) from error
