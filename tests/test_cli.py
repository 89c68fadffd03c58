from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import trimesh

from forge_batch.cli import main
from forge_batch.content.local import LocalContent
from forge_batch.jobs import Failure
from forge_batch.ops.mesh import save_mesh
from forge_batch.runner import run
from forge_batch.stages import STAGES
from tests.fakes import LEAST, FakeExecutor, Recorder, content_folder, picture
from tests.shapes import blob

MISTAKE = LEAST + "decimat: {triangles: 7}\n"


@pytest.fixture
def content(tmp_path: Path) -> Path:
    """Give a content folder that asks for a crate."""
    return content_folder(tmp_path / "content", "crate")


def call(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Run the command line; give exit code, stdout and stderr."""
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def one_document(text: str) -> Any:
    """Read text that must be one JSON document and nothing else."""
    return json.loads(text)


def make(content: Path, executor: FakeExecutor | None = None) -> None:
    """Make everything without the work."""
    run(LocalContent(content), executor or FakeExecutor(), Recorder())


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["fly"],
        ["run", "--asset"],
        ["run", "--executor", "moon"],
        ["validate", "--format", "xml"],
        ["init"],
        ["check"],
        ["plan", "--everything"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A missing command, an unknown one and unknown options end with 2, the usage on stderr and nothing on stdout."""
    with pytest.raises(SystemExit) as exit_:
        main(words)
    assert exit_.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "usage: forge-batch" in err


@pytest.mark.parametrize(
    "command",
    ["run", "validate", "plan", "status", "schema", "init", "check", "explain", "new", "push", "render", "doctor", "vendor"],
)
def test_each_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """--help of every command has an example that begins with the program's name and the command."""
    with pytest.raises(SystemExit) as exit_:
        main([command, "--help"])
    assert exit_.value.code == 0
    assert f"  forge-batch {command}" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["run", "plan", "status"])
def test_a_folder_that_is_no_content_folder_exits_with_1(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line on stderr says what is missing and how to make it; stdout stays empty."""
    code, out, err = call(capsys, command, "--content", tmp_path / "nowhere")
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "nowhere is not a folder" in err
    assert "forge-batch init" in err


def test_init_makes_a_folder_that_validates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The new folder is sound, its example becomes sound by adding a picture, and a second init touches nothing."""
    root = tmp_path / "game"
    code, out, _ = call(capsys, "init", root)
    assert code == 0
    assert out.splitlines()[-1].startswith("next: put images into ")
    code, out, _ = call(capsys, "validate", "--content", root)
    assert (code, out) == (0, "0 manifests: no problems\n")
    example = root / "manifests" / "my_crate.yaml.example"
    picture(root / "inbox" / "my_crate" / "front.png")
    (root / "manifests" / "my_crate.yaml").write_text(example.read_text())
    code, out, _ = call(capsys, "validate", "--content", root)
    assert (code, out) == (0, "1 manifest: no problems\n")
    example.write_text("mine")
    code, out, _ = call(capsys, "init", root)
    assert code == 0
    assert example.read_text() == "mine"
    assert not any(line.startswith("made") for line in out.splitlines())


def test_init_refuses_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where a file stands, no folder is made."""
    (tmp_path / "game").write_text("")
    code, _, err = call(capsys, "init", tmp_path / "game")
    assert code == 1
    assert err == f"{tmp_path / 'game'} is a file: name a folder\n"


def test_schema_prints_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    """`schema` prints one JSON Schema that takes a sound manifest, and is what init writes."""
    code, out, _ = call(capsys, "schema")
    document = one_document(out)
    assert code == 0
    jsonschema.Draft202012Validator.check_schema(document)
    jsonschema.Draft202012Validator(document).validate({"forge": 1, "place": {"height_cm": 60}})
    assert {stage.name for stage in STAGES} <= document["properties"].keys()


def test_validate_shows_the_line_that_is_wrong(content: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Text has place, line, caret, advice and a count; the exit code is 1."""
    (content / "manifests" / "crate.yaml").write_text(MISTAKE)
    code, out, err = call(capsys, "validate", "--content", content)
    assert (code, err) == (1, "")
    lines = out.splitlines()
    assert lines[0].startswith("manifests/crate.yaml:3:1: error: decimat: ")
    assert lines[1] == "    3 | decimat: {triangles: 7}"
    assert lines[2] == "      | ^"
    assert "decimate" in out
    assert lines[-1] == "1 manifest: 1 error"


def test_validate_gives_json(content: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON is one document with a verdict, the number of manifests and a place for each problem."""
    content_folder(content, "lamp", manifest=MISTAKE)
    code, out, _ = call(capsys, "validate", "--content", content, "--format", "json")
    document = one_document(out)
    assert code == 1
    assert (document["ok"], document["manifests"], len(document["problems"])) == (False, 2, 1)
    problem = document["problems"][0]
    assert problem.keys() == {"file", "line", "column", "field", "severity", "code", "message", "hint"}
    assert (problem["file"], problem["line"], problem["column"]) == ("manifests/lamp.yaml", 3, 1)


def test_validate_gives_annotations(content: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """GitHub's form is one workflow command a problem, and nothing else."""
    (content / "manifests" / "crate.yaml").write_text(MISTAKE)
    code, out, _ = call(capsys, "validate", "--content", content, "--format", "github")
    assert code == 1
    (line,) = out.splitlines()
    assert line.startswith("::error file=manifests/crate.yaml,line=3,col=1,title=decimat::")


def test_validate_looks_at_the_named_files_only(content: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With paths, other manifests do not count."""
    content_folder(content, "lamp", manifest=MISTAKE)
    path = content / "manifests"
    assert call(capsys, "validate", path / "crate.yaml", "--content", content)[:2] == (0, "1 manifest: no problems\n")
    code, out, _ = call(capsys, "validate", path / "lamp.yaml", "--content", content)
    assert code == 1
    assert out.splitlines()[-1] == "1 manifest: 1 error"


def test_validate_of_a_missing_file_exits_with_1(content: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A manifest that does not exist is named, without a traceback."""
    code, out, err = call(capsys, "validate", content / "manifests" / "hat.yaml", "--content", content)
    assert code == 1
    assert "hat.yaml" in out + err
    assert "Traceback" not in out + err


def test_plan_says_what_remains(content: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before a run everything is pending, afterwards nothing is; --json prints one document."""
    code, out, _ = call(capsys, "plan", "--content", content, "--json")
    assert code == 0
    (crate,) = one_document(out)["assets"]
    assert crate["pending"] == len(crate["stages"]) > 10
    assert crate["cpu_seconds"] > 0
    code, out, _ = call(capsys, "plan", "--content", content)
    assert code == 0
    assert f"{len(crate['stages'])}/{len(crate['stages'])}" in out
    make(content)
    _, out, _ = call(capsys, "plan", "--content", content, "--json")
    (crate,) = one_document(out)["assets"]
    assert crate["pending"] == crate["cpu_seconds"] == 0
    assert {stage["state"] for stage in crate["stages"]} == {"cached"}
    assert "up to date" in call(capsys, "plan", "--content", content)[1]


def test_plan_of_one_asset_leaves_a_look_at_what_was_generated(content: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Once a mesh is there, its faces and a GLB are named; written once, and anew for a new one."""
    asked = ("plan", "--content", content, "--asset", "crate")
    assert one_document(call(capsys, *asked, "--json")[1])["assets"][0]["source"] is None
    save_mesh(content / "mesh.npz", mesh := blob(60))
    generated = (content / "mesh.npz").read_bytes()
    make(content, FakeExecutor(data={("generate", "mesh"): generated}, metrics={"generate": {"faces": len(mesh.faces)}}))
    source = one_document(call(capsys, *asked, "--json")[1])["assets"][0]["source"]
    path = Path(source["preview"])
    assert path.parent == content / "work" / "preview"
    assert len(trimesh.load(path, force="mesh").faces) == source["faces"] == len(mesh.faces)
    written = path.stat().st_mtime_ns
    assert f"crate: {source['faces']:,} faces were generated; to look at: {path}" in call(capsys, *asked)[1]
    assert path.stat().st_mtime_ns == written
    stale = path.with_name("crate-00000000.glb")
    path.rename(stale)
    call(capsys, *asked)
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    assert "source" not in one_document(call(capsys, "plan", "--content", content, "--json")[1])["assets"][0]


def test_plan_plans_the_others_beside_a_mistake(content: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A manifest with a mistake is complained of on stderr, the others are planned, and the exit code is 1."""
    content_folder(content, "lamp", manifest=MISTAKE)
    code, out, err = call(capsys, "plan", "--content", content, "--json")
    assert code == 1
    assert [asset["asset"] for asset in one_document(out)["assets"]] == ["crate"]
    assert err.startswith("manifests/lamp.yaml:3:1: error: ")


@pytest.mark.parametrize("command", ["plan", "run"])
def test_an_unknown_asset_exits_with_1(command: str, content: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The name is refused with those that are known."""
    code, out, err = call(capsys, command, "--content", content, "--asset", "hat", "--json")
    assert (code, out) == (1, "")
    assert err == "no manifest makes an asset named hat: known assets: crate\n"


def test_run_without_work_says_so(content: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """When all is made, run ends with 0 and one line on stderr; with --json it prints one document on stdout."""
    make(content)
    code, out, err = call(capsys, "run", "--content", content)
    assert (code, out, err) == (0, "", "nothing to do: 1 asset is up to date\n")
    code, out, err = call(capsys, "run", "--content", content, "--json")
    (crate,) = one_document(out)["assets"]
    assert (code, err) == (0, "")
    assert (crate["state"], crate["error"]) == ("skipped", None)
    assert crate["package"] == "exports/crate/export_Crate_UE5.zip"
    assert all(stage["cached"] for stage in crate["stages"])


def test_run_of_an_empty_folder_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a manifest there is nothing to do, which is fine."""
    code, _, err = call(capsys, "run", "--content", content_folder(tmp_path / "content"))
    assert (code, err) == (0, "nothing to do: manifests/ holds no manifest\n")


def test_run_of_refused_manifests_exits_with_1(content: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A manifest with a mistake is a failed asset: in the document, on stderr and in the exit code."""
    (content / "manifests" / "crate.yaml").write_text(MISTAKE)
    code, out, err = call(capsys, "run", "--content", content, "--json")
    (crate,) = one_document(out)["assets"]
    assert code == 1
    assert (crate["asset"], crate["state"], crate["package"]) == ("crate", "failed", None)
    assert "manifests/crate.yaml:3:1" in crate["error"]["message"]
    assert "manifests/crate.yaml:3:1: error: " in err


def test_status_says_how_things_stand(content: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Waiting and done are fine, a failed asset makes the exit code 1; --json prints one document."""
    code, out, _ = call(capsys, "status", "--content", content)
    assert code == 0
    assert "crate  waiting" in out
    make(content)
    content_folder(content, "lamp", manifest=LEAST + "seed: 1\n")
    make(content, FakeExecutor({("lamp", "clean"): Failure("stage", "the mesh is empty")}))
    code, out, _ = call(capsys, "status", "--content", content, "--json")
    assets = one_document(out)["assets"]
    assert code == 1
    assert [(asset["asset"], asset["state"]) for asset in assets] == [("crate", "done"), ("lamp", "failed")]
    assert assets[1]["error"]["message"] == "the mesh is empty"
    assert "the mesh is empty" in call(capsys, "status", "--content", content)[1]


def test_the_environment_is_checked(content: Path) -> None:
    """A FORGE_WORKERS that is no number is refused by name, with exit code 1."""
    child = subprocess.run(
        [sys.executable, "-m", "forge_batch.cli", "run", "--content", str(content)],
        env={"FORGE_WORKERS": "many"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=Path(__file__).parent.parent,
    )
    assert child.returncode == 1
    assert child.stderr == "FORGE_WORKERS is 'many': write a whole number from 1 to 256, or leave it unset\n"


def test_check_of_a_missing_file_exits_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A package that does not exist, and one that is none, are named in one line."""
    code, _, err = call(capsys, "check", tmp_path / "none.zip")
    assert code == 1
    assert "none.zip" in err
    assert err.count("\n") == 1
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 broken")
    code, _, err = call(capsys, "check", tmp_path / "broken.zip")
    assert code == 1
    assert err.count("\n") == 1
