"""Run what the project offers to a user's own repository: the pre-commit hook, the pre-push example, the GitHub Action."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.fakes import LEAST, content_folder, picture

ROOT = Path(__file__).parents[1]
BAD = LEAST + "decimat: {triangles: 7}\n"
SAID = 'manifests/crate.yaml:3:1: error: decimat: there is no key "decimat" here'
ENVIRONMENT = {
    **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    **{f"GIT_{who}_{what}": "nobody@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


def git(folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run git; stdout and stderr are one text."""
    return run(folder, "git", *words, **more)


def run(folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, with more variables."""
    return subprocess.run(
        words,
        check=False,
        cwd=folder,
        env={**ENVIRONMENT, **more},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
    )


def commit(folder: Path, message: str = "change") -> str:
    """Commit everything; give the commit."""
    git(folder, "add", "--all")
    assert git(folder, "commit", "--no-verify", "--message", message).returncode == 0
    return git(folder, "rev-parse", "HEAD").stdout.strip()


@pytest.fixture
def content(tmp_path: Path) -> Path:
    """Give a content folder under git, with one sound asset committed."""
    root = content_folder(tmp_path / "content", "crate")
    picture(root / "inbox" / "crate" / "front.png", (600, 600))
    git(root, "init", "--initial-branch", "main")
    commit(root)
    return root


def write(content: Path, text: str) -> None:
    """Replace the manifest."""
    (content / "manifests" / "crate.yaml").write_text(text)


def test_the_pre_commit_hook_refuses_a_bad_manifest(content: Path, tmp_path: Path) -> None:
    """`git commit` fails with the message and the line, and passes once the manifest is mended."""
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    shutil.copy(ROOT / ".pre-commit-hooks.yaml", hooks)
    git(hooks, "init")
    revision = commit(hooks)
    config = {"repos": [{"repo": str(hooks), "rev": revision, "hooks": [{"id": "forge-batch-validate-system"}]}]}
    (content / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    commit(content)
    home = str(tmp_path / "pre-commit")
    assert run(content, "pre-commit", "install", PRE_COMMIT_HOME=home).returncode == 0
    write(content, BAD)
    git(content, "add", "--all")
    refused = git(content, "commit", "--message", "bad", PRE_COMMIT_HOME=home)
    assert refused.returncode == 1, refused.stdout
    assert SAID in refused.stdout
    write(content, LEAST + "decimate: {triangles: 700}\n")
    git(content, "add", "--all")
    taken = git(content, "commit", "--message", "good", PRE_COMMIT_HOME=home)
    assert taken.returncode == 0, taken.stdout
    assert "Passed" in taken.stdout


def test_both_hooks_are_one_command() -> None:
    """The hook that installs and the one that does not run the same thing on the same files."""
    installing, present = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert {key: installing[key] for key in ("entry", "files", "pass_filenames")} == {
        key: present[key] for key in ("entry", "files", "pass_filenames")
    }


@pytest.fixture
def remote(content: Path, tmp_path: Path) -> Path:
    """Give the repository that is pushed to, with the example hook in place on this side."""
    bare = tmp_path / "remote.git"
    git(tmp_path, "init", "--bare", str(bare))
    git(content, "remote", "add", "origin", str(bare))
    shutil.copy(ROOT / "docs" / "hooks" / "pre-push", content / ".git" / "hooks" / "pre-push")
    assert git(content, "push", "origin", "main").returncode == 0
    return bare


def head(remote: Path) -> str:
    """Give the commit that the remote holds."""
    return git(remote, "rev-parse", "main").stdout.strip()


def test_the_pre_push_hook_keeps_a_bad_commit_here(content: Path, remote: Path) -> None:
    """A push with a bad manifest is refused and changes nothing there; mended, it goes through."""
    before = head(remote)
    write(content, BAD)
    commit(content)
    refused = git(content, "push", "origin", "main")
    assert refused.returncode == 1
    assert SAID in refused.stdout
    assert "not pushed" in refused.stdout
    assert head(remote) == before
    write(content, LEAST + "seed: 1\n")
    mended = commit(content)
    assert git(content, "push", "origin", "main").returncode == 0
    assert head(remote) == mended


def test_the_pre_push_hook_looks_at_what_is_pushed(content: Path, remote: Path) -> None:
    """A mistake that is not committed does not hold a sound commit back, and a deleted branch is not looked at."""
    (content / "README.md").write_text("hello\n")
    sound = commit(content)
    write(content, BAD)
    assert git(content, "push", "origin", "main", "main:other").returncode == 0
    assert head(remote) == sound
    assert git(content, "push", "origin", "--delete", "other").returncode == 0


@pytest.mark.parametrize(
    ("schema", "path"), [("vendor.github-actions", "action.yml"), ("vendor.github-workflows", "docs/hooks/github-workflow.yml")]
)
def test_github_would_read_the_files(schema: str, path: str) -> None:
    """The action and the workflow are valid by the schemas that editors use for GitHub's files."""
    checked = run(ROOT, "check-jsonschema", "--builtin-schema", schema, path)
    assert checked.returncode == 0, checked.stdout


def step(name: str, content: Path, summary: Path) -> subprocess.CompletedProcess[str]:
    """Run a step of the action as a runner does: its script in bash that stops at the first failure."""
    steps = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
    (found,) = [one for one in steps if one.get("name") == name]
    assert found["env"] == {"CONTENT": "${{ inputs.content }}"}
    return run(
        content, "bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", found["run"],
        CONTENT=".", GITHUB_STEP_SUMMARY=str(summary),
    )  # fmt: skip


def test_the_action_annotates_lines_and_prints_prices(content: Path, tmp_path: Path) -> None:
    """A mistake becomes an annotation and fails the job; a sound folder passes and its prices are in the summary."""
    summary = tmp_path / "summary.md"
    write(content, BAD)
    failed = step("Validate", content, summary)
    assert failed.returncode == 1
    assert failed.stdout.startswith("::error file=manifests/crate.yaml,line=3,col=1,title=decimat::there is no key")
    write(content, LEAST)
    assert step("Validate", content, summary).returncode == 0
    assert step("Price", content, summary).returncode == 0
    assert "crate" in summary.read_text()
