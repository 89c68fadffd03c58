"""Share what every command needs: exit codes, the option --content, ways to print."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forge_batch.content.contract import ContentRepo

FINE, FAILED, USAGE, BUG, INTERRUPTED = 0, 1, 2, 3, 130

Command = Callable[[argparse.Namespace], int]
"""Do what was asked for, and give the exit code."""

Add = Callable[[str, Command, str, str], argparse.ArgumentParser]
"""Add a command by name: what it does, in a sentence, and examples, a line each; options are added to what is returned."""


def content_option(command: argparse.ArgumentParser) -> None:
    """Let a command take --content."""
    command.add_argument(
        "--content", metavar="C", default=".", help="a folder (default: the current one) or hf://datasets/OWNER/NAME"
    )


def json_option(command: argparse.ArgumentParser) -> None:
    """Let a command take --json."""
    command.add_argument("--json", action="store_true", help="print one JSON document on stdout")


def opened(options: argparse.Namespace) -> ContentRepo:
    """Open what --content names."""
    from forge_batch import settings
    from forge_batch.content.open import open_content

    return open_content(options.content, settings.load().hub)


def root_of(options: argparse.Namespace) -> Path:
    """Give the folder that holds the manifests; that of a dataset repo is brought up to date."""
    return places_of(options)[0]


def places_of(options: argparse.Namespace) -> tuple[Path, Path]:
    """Give the folder that holds the manifests and the one that holds what the runner owns."""
    from forge_batch.content.open import repo_of

    if repo_of(options.content) is None:
        return Path(options.content), Path(options.content)
    content = opened(options)
    return content.root, content.home


def print_json(document: Any) -> None:
    """Print one JSON document on stdout."""
    print(json.dumps(document, indent=2, ensure_ascii=False))


def complain(line: str) -> None:
    """Say something to people, on stderr."""
    print(line, file=sys.stderr)
