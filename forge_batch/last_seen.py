"""Keep on the disk how a queue stood when it was last read, so that a page has something to show while it is read again.

The file is work/page/queue.json. It is safe to delete, and nothing but the first seconds of a page depends on it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from forge_batch.content.local import replace_file
from forge_batch.errors import ContentError
from forge_batch.queue_view import Facts

PATH = "work/page/queue.json"


def keep_facts(home: Path, facts: Mapping[str, Facts], moment: float) -> None:
    """Write the facts of every asset, and when that was, seconds since the epoch; a full disk costs the next start its news."""
    document = {"at": moment, "facts": [asdict(one) for one in facts.values()]}
    with suppress(ContentError):
        replace_file(home / PATH, json.dumps(document, separators=(",", ":")).encode())


def last_facts(home: Path) -> tuple[dict[str, Facts], float]:
    """Read them, and when they were true; nothing and 0 where they are missing, damaged or of another version.

    An asset has no picture yet: where its pictures lie is not known before the folder is read.
    """
    try:
        document = json.loads((home / PATH).read_bytes())
        some = [Facts(**{**one, "stages": tuple(one["stages"])}) for one in document["facts"]]
        return {one.asset: replace(one, has_picture=False) for one in some}, float(document["at"])
    except (OSError, ValueError, TypeError, KeyError):
        return {}, 0.0
