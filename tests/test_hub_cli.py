"""Use a dataset repo from the command line, in processes of its own, as a user does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes import LEAST, picture
from tests.hub_server import OWNER_TOKEN, READER_TOKEN, HubServer
from tests.hub_world import NAME, repo_with

pytestmark = pytest.mark.hub
ADDRESS = f"hf://datasets/{NAME}"


def forge(hub: HubServer, home: Path, *words: object, token: str = OWNER_TOKEN) -> subprocess.CompletedProcess[str]:
    """Run forge-batch as a user of that Hub."""
    command = [sys.executable, "-W", "ignore", "-m", "forge_batch.cli", *map(str, words)]
    env = environment(hub, home, token)
    return subprocess.run(command, check=False, env=env, text=True, capture_output=True, timeout=120)


def environment(hub: HubServer, home: Path, token: str = OWNER_TOKEN) -> dict[str, str]:
    """Give the variables of a user of that Hub."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "FORGE_"))}
    more = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    return {**kept, **more, **({"HF_TOKEN": token} if token else {})}


@pytest.fixture
def chair(tmp_path: Path) -> Path:
    """Give the folder of an asset: two pictures and a manifest."""
    folder = tmp_path / "oak_chair"
    picture(folder / "front.png", (600, 600))
    picture(folder / "left.png", (600, 600))
    (folder / "oak_chair.yaml").write_text(LEAST)
    return folder


def test_a_repo_is_made_filled_and_looked_at(hub: HubServer, tmp_path: Path, chair: Path) -> None:
    """From init --hub over push, validate, plan, explain to status: the way from nothing to a queued asset."""
    home = tmp_path / "home"
    made = forge(hub, home, "init", "--hub", NAME)
    assert made.returncode == 0, made.stderr
    repo = hub.repos[NAME]
    assert repo.private
    assert made.stdout.startswith(f"made    {ADDRESS}, private\nmade    README.md\n")
    held = {"README.md", ".gitattributes", "forge.yaml", "manifests/my_crate.yaml.example", "manifests/manifest.schema.json"}
    assert held <= set(repo.head.files)
    assert json.loads(repo.text("manifests/manifest.schema.json"))["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    count = len(repo.commits)
    pushed = forge(hub, home, "push", chair, "--content", ADDRESS)
    assert pushed.returncode == 0, pushed.stderr
    assert len(repo.commits) == count + 1
    assert {"inbox/oak_chair/front.png", "inbox/oak_chair/left.png", "manifests/oak_chair.yaml"} <= set(repo.head.files)
    checked = forge(hub, home, "validate", "--content", ADDRESS)
    assert (checked.returncode, "1 manifest" in checked.stdout) == (0, True), checked
    planned = json.loads(forge(hub, home, "plan", "--content", ADDRESS, "--json").stdout)
    assert [asset["asset"] for asset in planned["assets"]] == ["oak_chair"]
    assert forge(hub, home, "explain", "oak_chair", "--content", ADDRESS).returncode == 0
    status = json.loads(forge(hub, home, "status", "--content", ADDRESS, "--json").stdout)
    assert [(asset["asset"], asset["state"]) for asset in status["assets"]] == [("oak_chair", "waiting")]
    assert len(repo.commits) == count + 1, "looking changes nothing"


def test_init_keeps_what_is_there(hub: HubServer, tmp_path: Path) -> None:
    """A second init, and one on a repo with a README of its own, touch nothing that exists but an old schema."""
    repo = hub.repo(NAME, {"README.md": "mine", "manifests/manifest.schema.json": "{}"})
    made = forge(hub, tmp_path / "home", "init", "--hub", NAME)
    assert "kept    README.md" in made.stdout
    assert "renewed manifests/manifest.schema.json" in made.stdout
    assert repo.text("README.md") == "mine"
    count = len(repo.commits)
    assert "made" not in forge(hub, tmp_path / "home", "init", "--hub", NAME).stdout
    assert len(repo.commits) == count


def test_push_replaces_an_image_set(hub: HubServer, tmp_path: Path, chair: Path) -> None:
    """A picture that is gone in the folder goes in the repo, in the same commit; a push of nothing new commits nothing."""
    repo = repo_with(hub, tmp_path, "crate")
    forge(hub, tmp_path / "home", "push", chair, "--content", ADDRESS)
    (chair / "left.png").unlink()
    picture(chair / "front.png", (620, 600))
    count = len(repo.commits)
    pushed = forge(hub, tmp_path / "home", "push", chair, "--content", ADDRESS)
    assert "pushed  inbox/oak_chair/front.png\nremoved inbox/oak_chair/left.png\n" in pushed.stdout
    assert len(repo.commits) == count + 1
    assert set(repo.below("inbox/oak_chair")) == {"inbox/oak_chair/front.png"}
    assert "inbox/crate/front.png" in repo.head.files
    assert "nothing new" in forge(hub, tmp_path / "home", "push", chair, "--content", ADDRESS).stdout
    assert len(repo.commits) == count + 1


def test_push_uploads_nothing_that_is_wrong(hub: HubServer, tmp_path: Path, chair: Path) -> None:
    """A mistake in the manifest, a picture that is none, two manifests and a bad address: said, and nothing is committed."""
    repo = repo_with(hub, tmp_path, "crate")
    count = len(repo.commits)
    home = tmp_path / "home"
    (chair / "oak_chair.yaml").write_text(LEAST + "decimat: {triangles: 7}\n")
    wrong = forge(hub, home, "push", chair, "--content", ADDRESS)
    assert (wrong.returncode, "manifests/oak_chair.yaml:3:1: error: decimat" in wrong.stderr) == (1, True)
    (chair / "oak_chair.yaml").write_text(LEAST)
    (chair / "back.png").write_text("no picture")
    wrong = forge(hub, home, "push", chair, "--content", ADDRESS)
    assert (wrong.returncode, "back.png is not a picture that can be read" in wrong.stderr) == (1, True), wrong.stderr
    (chair / "back.png").unlink()
    (chair / "other.yaml").write_text(LEAST)
    wrong = forge(hub, home, "push", chair, "--content", ADDRESS)
    assert (wrong.returncode, "several manifests: oak_chair.yaml, other.yaml: keep one" in wrong.stderr) == (1, True)
    (chair / "other.yaml").unlink()
    wrong = forge(hub, home, "push", chair, "--content", tmp_path)
    assert (wrong.returncode, "for a folder use: forge-batch new" in wrong.stderr) == (1, True)
    (chair / "oak_chair.yaml").write_text(LEAST + "asset: crate\n")
    wrong = forge(hub, home, "push", chair, "--content", ADDRESS)
    assert (wrong.returncode, "crate" in wrong.stderr) == (1, True), wrong
    assert len(repo.commits) == count


def test_push_makes_a_manifest_where_there_is_none(hub: HubServer, tmp_path: Path, chair: Path) -> None:
    """With a height it is made as by `new`, pictures are named after their views; without, the hint says what to write."""
    repo = repo_with(hub, tmp_path, "crate")
    (chair / "oak_chair.yaml").unlink()
    (chair / "front.png").rename(chair / "chair_front.png")
    (chair / "left.png").rename(chair / "chair_left.png")
    wrong = forge(hub, tmp_path / "home", "push", chair, "--content", ADDRESS)
    assert wrong.returncode == 1
    assert "the folder holds no manifest; write oak_chair.yaml beside the pictures, or say the real height" in wrong.stderr
    pushed = forge(hub, tmp_path / "home", "push", chair, "--content", ADDRESS, "--height-cm", "92")
    assert pushed.returncode == 0, pushed.stderr
    assert set(repo.below("inbox/oak_chair")) == {"inbox/oak_chair/front.png", "inbox/oak_chair/left.png"}
    assert "height_cm: 92" in repo.text("manifests/oak_chair.yaml")


def test_push_finds_pictures_that_a_manifest_lists(hub: HubServer, tmp_path: Path, chair: Path) -> None:
    """Where `images:` names files, they go where it says; a manifest called manifest.yaml is named after the folder."""
    repo = repo_with(hub, tmp_path, "crate")
    (chair / "oak_chair.yaml").rename(chair / "manifest.yaml")
    (chair / "manifest.yaml").write_text(LEAST + "images: {front: shared/chair_front.png, left: shared/chair_left.png}\n")
    (chair / "front.png").rename(chair / "chair_front.png")
    (chair / "left.png").rename(chair / "chair_left.png")
    pushed = forge(hub, tmp_path / "home", "push", chair, "--content", ADDRESS)
    assert pushed.returncode == 0, pushed.stderr
    assert set(repo.below("inbox/shared")) == {"inbox/shared/chair_front.png", "inbox/shared/chair_left.png"}
    assert "manifests/oak_chair.yaml" in repo.head.files


MISTAKE = LEAST + "decimat: {triangles: 7}\n"


def test_a_run_says_in_the_repo_what_is_wrong(hub: HubServer, tmp_path: Path) -> None:
    """A manifest with a mistake is refused with exit 1; STATUS.md shows line and caret, and a second run commits nothing."""
    repo = hub.repo(NAME, {"manifests/crate.yaml": MISTAKE, "inbox/crate/front.png": picture(tmp_path / "a.png").read_bytes()})
    done = forge(hub, tmp_path / "home", "run", "--content", ADDRESS, "--json")
    assert (done.returncode, json.loads(done.stdout)["assets"][0]["state"]) == (1, "failed"), done.stderr
    assert "manifests/crate.yaml:3:1: error: decimat" in repo.text("state/STATUS.md")
    count = len(repo.commits)
    assert forge(hub, tmp_path / "home", "run", "--content", ADDRESS).returncode == 1
    assert len(repo.commits) == count


def test_a_watch_follows_the_repo_until_it_is_interrupted(hub: HubServer, tmp_path: Path) -> None:
    """`run --watch` takes up what users commit, outlives a Hub that is away, and ends with 130 on Ctrl-C."""
    repo = hub.repo(NAME, {"manifests/crate.yaml": MISTAKE, "inbox/crate/front.png": picture(tmp_path / "a.png").read_bytes()})
    command = [sys.executable, "-W", "ignore", "-m", "forge_batch.cli", "run", "--watch", "--content", ADDRESS]
    watch = subprocess.Popen(
        command, env={**environment(hub, tmp_path / "home"), "FORGE_POLL_SECONDS": "1", "FORGE_COMMIT_SECONDS": "0"},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_for(lambda: "state/STATUS.md" in repo.head.files)
        hub.fault("status", "GET", "expand=sha", times=2, code=404)
        repo.put({"manifests/lamp.yaml": MISTAKE})
        wait_for(lambda: "manifests/lamp.yaml:3:1" in repo.text("state/STATUS.md"))
        watch.send_signal(signal.SIGINT)
        _, err = watch.communicate(timeout=30)
    finally:
        watch.kill()
        watch.wait()
    assert watch.returncode == 130, err
    assert "Traceback" not in err


def wait_for(happened: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("token", "words", "said"),
    [
        (
            "",
            ("init", "--hub", "me/new"),
            "no token was given for hf://datasets/me/new: set HF_TOKEN to a token with the scope",
        ),
        (READER_TOKEN, ("init", "--hub", "me/new"), "the token may not do this"),
        ("", ("validate",), "is private and no token was given"),
        ("", ("run",), "set HF_TOKEN to a token with the scope `Read access to contents of selected repos`"),
        (READER_TOKEN, ("push",), "set HF_TOKEN to a token with the scope `Write access to contents of selected repos`"),
    ],
)
def test_tokens_are_asked_for_by_scope(
    hub: HubServer, tmp_path: Path, chair: Path, token: str, words: tuple[str, ...], said: str
) -> None:
    """Exit 1 and one line with the scope, no traceback."""
    repo_with(hub, tmp_path, "crate")
    more = [] if words[0] == "init" else [*([chair] if words == ("push",) else []), "--content", ADDRESS]
    done = forge(hub, tmp_path / "home", *words, *more, token=token)
    assert (done.returncode, said in done.stderr) == (1, True), done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_wrong_names_are_told(hub: HubServer, tmp_path: Path) -> None:
    """A name without owner, another kind of repo, and `new` on a repo each say what to write."""
    home = tmp_path / "home"
    for words, said in (
        (("init", "--hub", "game"), "write OWNER/NAME"),
        (("plan", "--content", "hf://models/me/game"), "write hf://datasets/OWNER/NAME"),
        (("new", "crate", "a.png", "--height-cm", "9", "--content", ADDRESS), "forge-batch push ASSET_DIR"),
    ):
        done = forge(hub, home, *words)
        assert (done.returncode in {1, 2}, said in done.stderr) == (True, True), done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [("FORGE_COMMITS_PER_HOUR", "many"), ("FORGE_CACHE_GB", "-1"), ("FORGE_RUNNER", "a b"), ("FORGE_POLL_SECONDS", "nan")],
)
def test_settings_are_checked(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that does not fit is named with what it may hold."""
    from forge_batch import settings

    monkeypatch.setenv(name, value)
    with pytest.raises(settings.SettingsError, match=f"{name} is '{value}': write "):
        settings.load()


def test_settings_reach_the_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every variable lands in its option, a Space is its own runner, and the secret is never shown."""
    from forge_batch import settings

    for name, value in {
        "SPACE_ID": "me/space", "FORGE_COMMITS_PER_HOUR": "30", "FORGE_COMMIT_SECONDS": "5", "FORGE_HEARTBEAT_SECONDS": "120",
        "FORGE_CACHE_GB": "2", "FORGE_POLL_SECONDS": "10", "FORGE_WEBHOOK_PORT": "8080", "FORGE_WEBHOOK_SECRET": "very secret",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    hub = settings.load().hub
    assert (hub.runner, hub.commits_per_hour, hub.commit_floor, hub.heartbeat) == ("me/space", 30, 5.0, 120.0)
    assert (hub.cache_bytes, hub.poll, hub.webhook_port, hub.webhook_secret) == (2 << 30, 10.0, 8080, "very secret")
    assert "very secret" not in repr(hub)


def test_a_folder_needs_no_hub_client(tmp_path: Path) -> None:
    """Nothing of huggingface_hub is loaded for a content folder, nor for --help."""
    code = (
        "import sys; from forge_batch.cli import main\n"
        f"main(['plan', '--content', {str(tmp_path)!r}])\n"
        "sys.exit('huggingface_hub' in sys.modules or 'httpx2' in sys.modules)"
    )
    (tmp_path / "manifests").mkdir()
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, timeout=60).returncode == 0
