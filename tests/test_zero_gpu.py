"""Try executors.zero_gpu against the real `spaces` and Gradio; only the platform behind them is played."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import gradio_client
import pytest

from forge_batch.executors.contract import TaskSpec
from forge_batch.executors.gpu_window import Refused, Started, WindowTask
from forge_batch.executors.zero_gpu import ZeroGpu, declared_duration, endpoint, reaction
from forge_batch.jobs import TaskRecord
from forge_batch.quota import PROFILES
from forge_batch.windows import Window
from tests.device_api import Answer, DeviceApi, granted, refused
from tests.fakes import picture

ROOT = Path(__file__).parent.parent
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PRO = PROFILES["zerogpu-pro"]
SECRET = "a secret of sixteen characters"
TOKEN = "h." + base64.urlsafe_b64encode(b'{"user": "owner"}').decode().rstrip("=") + ".s"


@pytest.fixture(scope="module")
def api() -> Iterator[DeviceApi]:
    """Play the platform."""
    server = DeviceApi()
    yield server
    server.close()


@pytest.fixture(scope="module")
def space(api: DeviceApi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a Space; give its address."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "SPACES_ZERO_GPU": "true",
        "SPACES_ZERO_DEVICE_API_URL": api.address,
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_OFFLINE": "1",
        "HOME": str(tmp_path_factory.mktemp("home")),
    }
    log = tmp_path_factory.mktemp("space") / "log.txt"
    command = [sys.executable, str(ROOT / "tests" / "zero_gpu_space.py"), SECRET]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while "listening at " not in (text := log.read_text()):
            assert process.poll() is None, text
            assert time.monotonic() < deadline, text
            time.sleep(0.2)
        yield text.split("listening at ")[1].split()[0]
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def gpu(api: DeviceApi, space: str) -> Iterator[ZeroGpu]:
    """Give the runner's side, with the token that the platform's proxy would add."""
    api.script.clear()
    api.schedules.clear()
    clients = []

    def connect(address: str) -> gradio_client.Client:
        clients.append(gradio_client.Client(address, headers={"x-ip-token": TOKEN}, verbose=False, analytics_enabled=False))
        return clients[-1]

    yield ZeroGpu(space, SECRET, PRO, connect, lambda: NOW)
    for client in clients:
        client.close()


def cut_out(folder: Path, *assets: str) -> list[WindowTask]:
    """Make a real and short task for each asset: cut out a picture that has alpha already."""
    tasks = []
    for asset in assets:
        image = picture(folder / "inbox" / asset / "front.png")
        spec = TaskSpec(asset, "remove_background", {}, 0, f"key-{asset}", {}, {"front": image}, folder / "work", "gpu")
        tasks.append(WindowTask(spec, "", 20.0, 0.0, 0.0))
    return tasks


def records(gpu: ZeroGpu, tasks: list[WindowTask], limit: int = 90) -> list[TaskRecord]:
    """Open a window; give its records."""
    return [news for news in gpu.open(Window(NOW, seconds=60, limit=limit), tasks) if isinstance(news, TaskRecord)]


def test_a_window_does_its_tasks_on_the_owners_account(gpu: ZeroGpu, api: DeviceApi, tmp_path: Path) -> None:
    """Records come back done, their files lie in place, and every schedule carries the token and 1.5 x the declared time."""
    found = records(gpu, cut_out(tmp_path, "a", "b"))
    assert [(record.key, record.state) for record in found] == [("key-a", "done"), ("key-b", "done")]
    assert (tmp_path / "work" / "key-b" / "cutouts.npz").is_file()
    assert all(record.gpu_seconds == record.seconds > 0 for record in found)
    (schedule,) = api.schedules
    assert schedule["token"] == TOKEN
    assert schedule["gpuSize"] == "large"
    assert float(schedule["durationSeconds"]) in {60.0, 90.0}  # 60 declared; the factor depends on the cards of the day


@pytest.mark.parametrize(("limit", "size"), [(90, "large"), (2400, "large"), (1200, "xlarge"), (7, "large")])
def test_what_is_sent_never_exceeds_what_is_left(limit: int, size: str) -> None:
    """A window as long as the allowance lets it be is declared so that the platform starts it."""
    left = limit * (2 if size == "xlarge" else 1)
    allowed = PRO.longest(left, size)
    declared = declared_duration(json.dumps({"declared": PRO.declared(allowed, size)}))
    assert declared * (2 if size == "xlarge" else 1.5) <= left


def test_a_warm_worker_is_used_again(gpu: ZeroGpu, api: DeviceApi, tmp_path: Path) -> None:
    """Where the platform says that the worker is idle, the second window needs no new process."""
    api.script += [granted(idle=False), granted(idle=True), granted(idle=False)]
    before = len(api.pids)
    for name in "abc":
        assert records(gpu, cut_out(tmp_path, name))[0].state == "done"
    assert len(api.pids) - before == 2


def test_a_kill_in_mid_window_keeps_what_was_yielded(gpu: ZeroGpu, api: DeviceApi, tmp_path: Path) -> None:
    """When the worker is killed at its second task, the first record is here, and the news ends with the task to blame."""
    api.script.append(granted(idle=False))
    tasks = cut_out(tmp_path, "a", "b")
    slow = picture(tmp_path / "slow.png", (3000, 3000), "RGB")
    spec = TaskSpec("b", "remove_background", {"method": "key"}, 0, "key-b", {}, {"front": slow}, tmp_path / "work", "gpu")
    tasks[1] = WindowTask(spec, "", 20.0, 0.0, 0.0)
    news = []

    def listen() -> None:
        for one in gpu.open(Window(NOW, seconds=60, limit=90), tasks):
            news.append(one)
            if one == Started("key-b"):
                os.kill(api.pids[-1], signal.SIGKILL)

    with pytest.raises(Refused) as caught:
        listen()
    assert [one.key for one in news] == ["key-a", "key-a", "key-b"]
    assert caught.value.refusal.action == "killed"


MATRIX = [
    ("quota", refused(30, 5025, X_Approve_Result="quota-exceeded"), "wait", timedelta(hours=1, minutes=23, seconds=50)),
    ("runs", refused(30, 0, X_Approve_Result="runs-exceeded"), "wait", timedelta(days=1)),
    ("duration", refused(30, -1, X_Approve_Result="illegal-duration"), "split", None),
    ("pending", refused(30, 60, X_Approve_Result="pending-overquota-exceeded"), "wait", timedelta(minutes=2)),
    ("queue", Answer(events=("event: failed\n\n",), headers={"X-Queuing-Reason": "node"}), "wait", timedelta(minutes=2)),
    ("busy", Answer(503), "retry", None),
    ("expired", Answer(401), "retry", None),
    ("server", Answer(500), "retry", None),
]


@pytest.mark.parametrize(("answer", "action", "wait"), [row[1:] for row in MATRIX], ids=[row[0] for row in MATRIX])
def test_every_answer_of_the_platform_has_its_reaction(
    gpu: ZeroGpu, api: DeviceApi, tmp_path: Path, answer: Answer, action: str, wait: timedelta | None
) -> None:
    """What the platform answers comes through spaces, Gradio and the client as the right thing to do, and runs nothing."""
    api.script.append(answer)
    with pytest.raises(Refused) as caught:
        records(gpu, cut_out(tmp_path, "a"))
    assert caught.value.refusal.action == action, caught.value.refusal
    assert caught.value.refusal.until == (NOW + wait if wait else None)
    assert not (tmp_path / "work" / "key-a").exists()


def test_a_call_without_token_is_an_alarm(space: str, api: DeviceApi, tmp_path: Path) -> None:
    """When the anonymous pool is spent, somebody must set a token: waiting would not help."""
    api.script.append(refused(0, 60))

    def connect(address: str) -> gradio_client.Client:
        return gradio_client.Client(address, verbose=False, analytics_enabled=False)

    with pytest.raises(Refused) as caught:
        records(ZeroGpu(space, SECRET, PRO, connect, lambda: NOW), cut_out(tmp_path, "a"))
    assert caught.value.refusal.action == "alarm"
    assert "HF_TOKEN" in caught.value.refusal.reason


def test_a_stranger_gets_no_gpu(space: str, api: DeviceApi, tmp_path: Path) -> None:
    """A call with another secret is turned away before anything is scheduled."""
    api.schedules.clear()

    def connect(address: str) -> gradio_client.Client:
        return gradio_client.Client(address, headers={"x-ip-token": TOKEN}, verbose=False, analytics_enabled=False)

    with pytest.raises(Refused) as caught:
        records(ZeroGpu(space, "another secret, long enough", PRO, connect, lambda: NOW), cut_out(tmp_path, "a"))
    assert caught.value.refusal.action == "alarm"
    assert api.schedules == []
    with pytest.raises(ValueError, match="less than 16"):
        endpoint("short")


def test_a_space_that_is_away_is_tried_again(tmp_path: Path) -> None:
    """Where nobody listens, the window is refused for now, and no asset is to blame."""

    def connect(address: str) -> gradio_client.Client:
        return gradio_client.Client(address, verbose=False)

    with pytest.raises(Refused) as caught:
        records(ZeroGpu("http://127.0.0.1:9", SECRET, PRO, connect, lambda: NOW), cut_out(tmp_path, "a"))
    assert caught.value.refusal.action == "retry"


@pytest.mark.parametrize(
    ("title", "message", "action"),
    [
        ("ZeroGPU worker error", "GPU task aborted", "killed"),
        ("ZeroGPU worker error", "ValueError", "fail"),
        ("ZeroGPU quota exceeded", "No GPU was available after 60s. Retry later", "wait"),
        ("ZeroGPU queue timeout", "No GPU was available after 60s", "wait"),
        ("ZeroGPU client error", "No GPU was available", "retry"),
        ("ZeroGPU client error", "Expired ZeroGPU proxy token", "retry"),
        ("Error", "Unexpected end of stream", "retry"),
        ("Error", "ZeroGPU API /schedule error: 500 (Internal Server Error)", "retry"),
        ("ConnectError", "[Errno 111] Connection refused", "retry"),
        ("Error", "something that nobody has seen yet", "alarm"),
        ("ZeroGPU quota exceeded", "(90s requested vs. 30s left). Try again in 2 days, 1:00:00. ", "wait"),
    ],
)
def test_every_known_error_has_its_reaction(title: str, message: str, action: str) -> None:
    """Errors are told apart by title and text; what is not known is an alarm."""
    found = reaction(title, message, NOW)
    assert found.action == action
    if "2 days" in message:
        assert found.until == NOW + timedelta(days=2, hours=1, seconds=5)


def test_nobody_waits_for_a_thread_that_hangs(gpu: ZeroGpu, api: DeviceApi, tmp_path: Path) -> None:
    """A window runs from a plain thread just as well, as the runner does it."""
    found: list[TaskRecord] = []
    thread: Callable[[], None] = lambda: found.extend(records(gpu, cut_out(tmp_path, "a")))  # noqa: E731 - a name for mypy
    worker = threading.Thread(target=thread)
    worker.start()
    worker.join(60)
    assert [record.state for record in found] == ["done"]
    assert api.schedules[-1]["token"] == TOKEN
