"""Call a page the way a stranger may: every address, every event, raw."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gradio_client
import httpx
import pytest
from gradio_client.exceptions import AppError
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.testclient import TestClient

from forge_batch.content.hub import HubContent
from forge_batch.content.hub_options import HubOptions
from forge_batch.content.local import LocalContent
from forge_batch.content.webhook import Webhook
from forge_batch.control import load_control
from forge_batch.errors import ContentError
from forge_batch.executors.gpu_window import Refusal, Refused, Started, WindowTask
from forge_batch.executors.windowed import WindowedExecutor
from forge_batch.executors.zero_gpu import ZeroGpu
from forge_batch.forecast import Planned
from forge_batch.header_view import header
from forge_batch.jobs import TaskRecord
from forge_batch.queue_view import Queue, Wish, rows, select
from forge_batch.quota import PROFILES, Budget, Ledger
from forge_batch.settings import PageOptions
from forge_batch.survey import Survey
from forge_batch.trial import judge
from forge_batch.ui.markup import header_html, queue_html
from forge_batch.ui.routes import routes
from forge_batch.ui.site import Site
from forge_batch.ui.views import Views
from forge_batch.ui.windows_markup import windows_html
from forge_batch.windows import Window
from tests.device_api import DeviceApi
from tests.fakes import LEAST, FakeExecutor, content_folder, picture
from tests.hub_server import OWNER_TOKEN, HubServer
from tests.page_server import TOKEN
from tests.serving import ROOT, answers, free_port, page, started
from tests.test_queue_view import NOW, facts, queue
from tests.test_webhook import call
from tests.test_zero_gpu import cut_out, records

AT_REST = {"working": 0, "queued": 0, "waiting": 0, "held": 0, "failed": 1, "done": 2}
HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(2)">'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Serve a page of two finished assets and one that failed; give its address and its folder."""
    content = content_folder(tmp_path_factory.mktemp("site") / "content", "crate", "hat", "lamp")
    with page(content, "--runner", "--fail", "lamp") as address:
        end = time.monotonic() + 60
        while httpx.get(f"{address}healthz").json()["queue"] != AT_REST:
            assert time.monotonic() < end
            time.sleep(0.2)
        yield address, content


def get(address: str, path: str) -> httpx.Response:
    """Ask for a path exactly as it is written."""
    with httpx.Client() as client:
        return client.send(httpx.Request("GET", httpx.URL(address).copy_with(raw_path=path.encode())))


def test_health(site: tuple[str, Path]) -> None:
    """/healthz says in JSON that the runner lives, when it was heard of, what it saw, and how many assets are how."""
    answer = httpx.get(f"{site[0]}healthz")
    document = answer.json()
    assert answer.status_code == 200
    assert document["alive"] is True
    assert 0 <= document["heartbeat_age_seconds"] < 10
    revision = LocalContent(site[1]).revision
    assert document["sha"] == {"seen": revision, "processed": revision}


def test_metrics(site: tuple[str, Path]) -> None:
    """/metrics is read by Prometheus' own parser, and counts assets by state."""
    families = {family.name: family for family in text_string_to_metric_families(httpx.get(f"{site[0]}metrics").text)}
    assets = {sample.labels["state"]: sample.value for sample in families["forge_batch_assets"].samples}
    assert assets == {"working": 0, "queued": 0, "waiting": 0, "held": 0, "failed": 1, "done": 2}
    assert families["forge_batch_runner_alive"].samples[0].value == 1


def test_a_package_is_served_whole(site: tuple[str, Path]) -> None:
    """What is downloaded are the bytes that lie in exports/."""
    answer = httpx.get(f"{site[0]}files/crate/export_Crate_UE5.zip")
    assert answer.content == (site[1] / "exports" / "crate" / "export_Crate_UE5.zip").read_bytes()
    assert answer.headers["content-disposition"].startswith("attachment")
    assert httpx.get(f"{site[0]}files/crate/report.html").headers["content-security-policy"].startswith("sandbox")


@pytest.mark.parametrize(
    "path",
    [
        "/files/crate/../../../forge.yaml", "/files/crate/..%2f..%2f..%2fetc%2fpasswd", "/files/../state/control.json",
        "/files/crate/%2e%2e/%2e%2e/manifests/crate.yaml", "/files/crate/record.json", "/files/crate/export_link.zip",
        "/files/nobody/preview.png", "/files/crate/build-20260101T000000Z.webp", "/gradio_api/file=/etc/passwd",
        "/gradio_api/file={content}/manifests/crate.yaml", "/gradio_api/file={content}/state/jobs/crate.json",
        "/gradio_api/file={content}/exports/../forge.yaml", "/docs", "/redoc", "/openapi.json", "/webhooks/dataset",
    ],
)  # fmt: skip
def test_nothing_else_is_served(site: tuple[str, Path], path: str) -> None:
    """Walking up, encoded or not, links, other folders and the server's own pages are refused."""
    link = site[1] / "exports" / "crate" / "export_link.zip"
    if not link.is_symlink():
        link.symlink_to("/etc/passwd")
    answer = get(site[0], path.format(content=site[1]))
    assert answer.status_code in {403, 404, 405}, answer.text[:200]
    assert "root:" not in answer.text
    assert "forge: 1" not in answer.text


def events(address: str) -> list[dict[str, Any]]:
    """List every event of the page."""
    found: list[dict[str, Any]] = httpx.get(f"{address}config").json()["dependencies"]
    return found


def test_a_stranger_who_calls_everything_changes_nothing(site: tuple[str, Path]) -> None:
    """Every event of the page, called raw with nonsense and with a made-up token, neither writes nor starts anything."""
    address, content = site
    before = stamps(content)
    number = {"seed": 0}
    for event in events(address):
        for value in (
            "crate",
            "../../etc/passwd",
            HOSTILE,
            50,
            None,
            "x" * 100_000,
            {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}},
        ):
            number["seed"] += 1
            data = [value] * len(event["inputs"])
            body = {"fn_index": event["id"], "data": data, "session_hash": f"s{number['seed']}", "event_data": {"asset": value}}
            answer = httpx.post(f"{address}gradio_api/run/predict?token=guess&asset=crate", json=body, timeout=60)
            assert "root:" not in answer.text
            assert "forge: 1\nasset" not in answer.text or event["queue"], event
    after = stamps(content)
    assert {path for path in after if after[path] != before.get(path)} <= {"work/live.json"}
    assert load_control(content).actions == ()
    assert httpx.get(f"{address}healthz").json()["alive"] is True


def stamps(content: Path) -> dict[str, tuple[int, int]]:
    """Give size and time of every file but pictures that were made to be looked at."""
    files = [path for path in content.rglob("*") if path.is_file() and "work/page" not in str(path)]
    return {str(path.relative_to(content)): (path.stat().st_size, path.stat().st_mtime_ns) for path in files if path.exists()}


def button(address: str, text: str) -> int:
    """Find the event of a button."""
    config = httpx.get(f"{address}config").json()
    component = next(one["id"] for one in config["components"] if one["props"].get("value") == text and one["type"] == "button")
    return next(event["id"] for event in config["dependencies"] if event["targets"][0][0] == component)


def test_many_ask_for_one_picture_at_once(site: tuple[str, Path]) -> None:
    """A picture that has to be made first is given whole to everybody who asks in the meantime."""
    shutil.rmtree(site[1] / "work" / "page" / "small", ignore_errors=True)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: httpx.get(f"{site[0]}files/crate/thumbnail.webp"), range(16)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1


def test_a_viewer_is_sent_what_he_lacks(site: tuple[str, Path]) -> None:
    """With the marks of what he has, a viewer gets little or nothing; nonsense in the question is answered all the same."""
    first = httpx.get(f"{site[0]}live?asset=crate").json()["parts"]
    assert set(first) == {"top", "queue", "words", "head", "now", "rest"}
    marks = {f"mark-{name}": part["mark"] for name, part in first.items()}
    again = httpx.get(f"{site[0]}live", params={"asset": "crate", **marks}).json()["parts"]
    assert set(again) <= {"top"}  # its heartbeat grows older
    for query in ("page=-1&sort=?&state=x", "page=999999999999999999999", f"text={HOSTILE}&asset=../../etc/passwd"):
        answer = httpx.get(f"{site[0]}live?{query}")
        assert answer.status_code == 200
        assert "<script" not in answer.text


def test_only_the_owner_acts(site: tuple[str, Path]) -> None:
    """A stranger's cancel is refused in words; the owner's becomes a record that says who and what, and shows."""
    address, content = site
    load = next(event["id"] for event in events(address) if event["targets"][0][1] == "load")

    def cancel(session: str, token: str) -> str:
        query = f"?token={token}&asset=lamp"
        seen = {"fn_index": load, "data": [], "session_hash": session}
        assert httpx.post(f"{address}gradio_api/run/predict{query}", json=seen).status_code == 200
        body = {"fn_index": button(address, "Cancel"), "data": [None, None], "session_hash": session}
        return str(httpx.post(f"{address}gradio_api/run/predict", json=body).text)

    assert "only the owner may do that" in cancel("stranger", "guess")
    assert load_control(content).actions == ()
    assert "owner: cancel lamp" in cancel("owner", TOKEN)
    (action,) = load_control(content).actions
    assert (action.by, action.word, action.asset) == ("owner", "cancel", "lamp")
    end = time.monotonic() + 10
    while httpx.get(f"{address}healthz").json()["queue"]["held"] != 1:
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_refresh_weighs_little_and_is_quick() -> None:
    """Of 2,000 assets with long reasons a page and the header weigh less than 50 kB, and take less than 100 ms."""
    some = [
        facts(f"an_asset_with_a_long_name_{number:04}", has_picture=True, failure="w" * 500 if number % 2 else "")
        for number in range(2000)
    ]
    one = queue(*some)
    start = time.perf_counter()
    found = rows(one, NOW)
    text = queue_html(select(found, Wish()), NOW) + header_html(header(one, found, NOW), "folder", NOW)
    assert time.perf_counter() - start < 0.1
    assert len(json.dumps(text)) < 50_000
    worst = queue_html(select(found, Wish(states=frozenset({"failed"}))), NOW)
    assert len(json.dumps(worst)) < 50_000


def test_what_comes_from_outside_is_text() -> None:
    """Markup in names, reasons and kinds comes out escaped, whatever field it is in."""
    one = queue(replace(facts(HOSTILE, failure=HOSTILE), kind=HOSTILE), folder=HOSTILE, error=HOSTILE)
    found = rows(one, NOW)
    text = queue_html(select(found, Wish()), NOW) + header_html(header(one, found, NOW), HOSTILE, NOW)
    assert "<script" not in text
    assert "<img src=x" not in text
    assert text.count("&lt;script&gt;") >= 4


@pytest.mark.parametrize(
    "manifest", [LEAST, "forge: 1\nplace: {heigth_cm: 60}\n", "forge: 1\nplace: {height_cm: 60}\nimages: none\n"]
)
def test_a_trial_says_what_the_command_line_says(manifest: str, tmp_path: Path) -> None:
    """Word for word, for a sound manifest and for wrong ones; and nothing is written to the folder."""
    content = content_folder(tmp_path / "content", "crate")
    pictures = {} if "none" in manifest else {"front.png": picture(tmp_path / "front.png")}
    before = stamps(content)
    said = judge(LocalContent(content), "lamp", manifest, pictures, (), datetime.now(UTC), 2)
    assert stamps(content) == before
    (content / "manifests" / "lamp.yaml").write_text(manifest)
    for name in pictures:
        picture(content / "inbox" / "lamp" / name)
    (content / "manifests" / "crate.yaml").unlink()
    command = [sys.executable, "-m", "forge_batch.cli", "validate", "manifests/lamp.yaml", "--price", "--content", str(content)]
    environment = {**os.environ, "FORGE_WORKERS": "2", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment)
    assert said + "\n" == done.stdout, done.stderr


def test_the_webhook_wakes_for_the_secret_alone(hub: HubServer, tmp_path: Path) -> None:
    """On a dataset repo a call without the secret is refused, and one with it rings the runner's bell."""
    hub.repo("me/game", {"manifests/crate.yaml": LEAST, "inbox/crate/front.png": picture(tmp_path / "front.png").read_bytes()})
    options = HubOptions(home=tmp_path / "disk", endpoint=hub.endpoint, token=OWNER_TOKEN)
    content = HubContent("me/game", options)
    hook = Webhook("me/game", "the secret of the webhook", content.own_commits, content.bell.set)
    site = Site(content, Survey(content, 1), PageOptions(token=TOKEN), FakeExecutor)
    client = TestClient(Starlette(routes=routes(site, Views(site), hook)))
    assert client.post("/webhooks/dataset", content=call()).status_code == 401
    assert not content.bell.is_set()
    answer = client.post("/webhooks/dataset", content=call(), headers={"X-Webhook-Secret": "the secret of the webhook"})
    assert answer.status_code == 202
    assert content.bell.is_set()


def test_what_the_owner_asks_is_a_commit(hub: HubServer, tmp_path: Path) -> None:
    """On a dataset repo the owner's wish is committed at once, by name, and read by another copy of the repo."""
    repo = hub.repo(
        "me/game", {"manifests/crate.yaml": LEAST, "inbox/crate/front.png": picture(tmp_path / "f.png").read_bytes()}
    )
    copies = [
        HubContent("me/game", HubOptions(home=tmp_path / name, endpoint=hub.endpoint, token=OWNER_TOKEN))
        for name in ("one", "two")
    ]
    site = Site(copies[0], Survey(copies[0], 1), PageOptions(token=TOKEN), FakeExecutor)
    site.survey.look()
    repo.put({"manifests/lamp.yaml": LEAST})  # a race: the head has moved since
    assert "owner: cancel crate" in site.act(site.owner(TOKEN, {}), "cancel", "crate")
    copies[1].sync()
    assert set(load_control(copies[1].home).held) == {"crate"}
    with pytest.raises(ContentError, match="only the owner"):
        site.act(site.owner("guess", {}), "pause")


@dataclass
class FakeGpu:
    """Open windows that end well, or are refused."""

    refusal: Refusal | None = None

    def open(self, window: Window, tasks: Sequence[WindowTask]) -> Iterator[Started | TaskRecord]:
        if self.refusal:
            raise Refused(self.refusal)
        yield from ()


@pytest.mark.parametrize(("refusal", "words"), [(None, "The GPU answers"), (Refusal("alarm", "no token"), "no token")])
def test_the_owner_tries_the_gpu(refusal: Refusal | None, words: str, tmp_path: Path) -> None:
    """A try says what came of it, and its seconds stand in the ledger; a stranger's costs nothing."""
    content = LocalContent(content_folder(tmp_path / "content", "crate"))
    ledger = Ledger(tmp_path / "ledger.jsonl")
    executor = WindowedExecutor(1, FakeGpu(refusal), Budget(PROFILES["zerogpu-pro"], ledger))
    site = Site(content, Survey(content, 1), PageOptions(token=TOKEN), lambda: executor)
    with pytest.raises(ContentError, match="only the owner"):
        site.try_gpu("")
    assert ledger.entries() == []
    assert words in site.try_gpu("owner")
    assert [entry.kind for entry in ledger.entries()] == ["reserve", "settle"]
    assert ledger.entries()[1].seconds < 1


def test_on_a_space_the_owner_is_who_logged_in(tmp_path: Path) -> None:
    """Where there is an owner account, a token is worth nothing, nor another account or an old login; read-only is for all."""
    content = LocalContent(content_folder(tmp_path / "content", "crate"))
    options = PageOptions(token=TOKEN, owner="me")
    site = Site(content, Survey(content, 1), options, FakeExecutor)
    lasting = {"expires_at": time.time() + 60}
    mine = {"oauth_info": {"userinfo": {"preferred_username": "me"}, **lasting}}
    assert site.owner(TOKEN, {}) == ""
    assert site.owner("", {"oauth_info": {"userinfo": {"preferred_username": "you"}, **lasting}}) == ""
    assert site.owner("", {"oauth_info": {**mine["oauth_info"], "expires_at": time.time() - 1}}) == ""
    assert site.owner("", mine) == "me"
    assert replace(site, options=replace(options, read_only=True)).owner("", mine) == ""


def test_windows_to_come_say_what_will_be_in_them() -> None:
    """Each planned window has a row: when, how long, which asset's stages; names are escaped."""
    opens = datetime(2026, 3, 1, 12, tzinfo=UTC)
    planned = (Planned(1, opens, 95.0, (("crate", "generate"), ("<b>", "bake_normal"), ("crate", "inpaint"))),)
    text = windows_html([], Queue(planned=planned, turns={"lamp": "Tue 03 Mar"}), [], opens)
    assert f"{opens.astimezone():%d %b %H:%M}" in text
    assert "crate: generate, inpaint; &lt;b&gt;: bake normal" in text
    assert "lamp" in text
    assert "Tue 03 Mar" in text
    assert "No GPU window was opened yet." in text


def test_the_space_serves_windows_to_its_own_runner(tmp_path: Path) -> None:
    """app.py, started as on ZeroGPU, runs a window for those who know the secret, and for nobody else."""
    api = DeviceApi()
    secret = "a secret of sixteen characters"
    port = free_port()
    environment = {
        "SPACES_ZERO_GPU": "true", "SPACES_ZERO_DEVICE_API_URL": api.address, "HOME": str(tmp_path),
        "SPACE_ID": "me/page", "SPACE_AUTHOR_NAME": "me", "GRADIO_SERVER_PORT": str(port), "FORGE_SECRET": secret,
        "FORGE_CONTENT": str(content_folder(tmp_path / "content", "crate")), "FORGE_READ_ONLY": "1",
    }  # fmt: skip
    start = "import sys, runpy; sys.modules['torch'] = None; runpy.run_path('app.py', run_name='__main__')"
    address = f"http://127.0.0.1:{port}/"

    def connect(where: str) -> gradio_client.Client:
        return gradio_client.Client(where, verbose=False, analytics_enabled=False)

    try:
        with started(["-c", start], tmp_path / "space.log", lambda _: answers(address), environment):
            gpu = ZeroGpu(address, secret, PROFILES["zerogpu-pro"], connect)
            assert [record.state for record in records(gpu, cut_out(tmp_path, "a"))] == ["done"]
            with pytest.raises(AppError):
                connect(address).predict("another secret, long enough", "large", "{}", api_name="/run_window")
            assert len(api.schedules) == 1
    finally:
        api.close()
