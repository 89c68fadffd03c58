"""Open a content repo from what the user wrote: a folder, or hf://datasets/OWNER/NAME."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from forge_batch.content.contract import ContentRepo
from forge_batch.content.local import LocalContent
from forge_batch.errors import ContentError

if TYPE_CHECKING:
    from forge_batch.content.hub_options import HubOptions

SCHEME = "hf://"
FORM = "write hf://datasets/OWNER/NAME, or a folder"
_REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def repo_of(text: str) -> str | None:
    """Give OWNER/NAME of a dataset repo; None if the text names a folder.

    Raises:
        ContentError: It names something else of the Hub.
    """
    if not text.startswith(SCHEME):
        return None
    kind, _, name = text.removeprefix(SCHEME).rstrip("/").partition("/")
    if kind != "datasets":
        raise ContentError(f"{text} is not a dataset repo", FORM)
    return checked_repo(name)


def checked_repo(name: str) -> str:
    """Give the name back if it has the form OWNER/NAME; ContentError says what it lacks."""
    if not _REPO.fullmatch(name) or len(name) > 96 * 2 + 1 or "--" in name or ".." in name:
        raise ContentError(f'"{name[:80]}" is not the name of a repo', "write OWNER/NAME, such as me/my_game")
    return name


def open_content(text: str, options: HubOptions) -> ContentRepo:
    """Open a content repo and bring it up to date.

    Raises:
        ContentError: It does not exist, cannot be reached, or is no content folder; says what to do.
    """
    repo = repo_of(text)
    if repo is None:
        return LocalContent(Path(text))
    try:
        from forge_batch.content.hub import HubContent

        return HubContent(repo, options)
    except ModuleNotFoundError as error:
        hint = 'install it with: pip install "forge-batch[hub]"'
        raise ContentError(f"{text} needs the package {error.name}", hint) from error
