"""Make a dataset repo that is a content folder."""

from __future__ import annotations

import json
import uuid

from forge_batch.content.hub_client import HubClient
from forge_batch.content.hub_errors import ConflictError
from forge_batch.content.hub_options import HubOptions
from forge_batch.content.open import checked_repo
from forge_batch.content.scaffold import EXAMPLE, IGNORE, PROJECT, SCHEMA
from forge_batch.errors import ContentError
from forge_batch.manifest import schema

ATTRIBUTES = "".join(
    f"*.{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in ("png", "jpg", "jpeg", "webp", "zip", "npz", "glb", "fbx")
)

README = """\
---
pretty_name: {name}
tags:
- forge-batch
viewer: false
---

# {name}

Commit pictures and a short manifest here, find packages for Unreal Engine 5 in `exports/`.
How every asset stands, and what the runner does: [state/STATUS.md](state/STATUS.md).

## Order an asset

1. Put one to four pictures into `inbox/<asset>/`: `front.png`, and `right.png`, `back.png`, `left.png` if you have them.
2. Copy `manifests/my_crate.yaml.example` to `manifests/<asset>.yaml` and write the real height into it.
3. Commit. The package appears as `exports/<asset>/export_<Asset>_UE5.zip`, with `report.html` and `preview.png` beside it.

Or from a folder on your disk, pictures and manifest checked and committed at once:

```sh
forge-batch push oak_chair/ --content hf://datasets/{repo}
```

Before you commit by hand: `forge-batch validate --content hf://datasets/{repo}` says everything that is wrong.

## Who owns what

| yours | the runner's: it overwrites them |
|---|---|
| `inbox/` `manifests/` `presets/` `forge.yaml` | `state/` `cache/` `exports/` |

`cache/` keeps what cost GPU seconds; it may be deleted, and is then made again when it is needed.
"""


def init_hub(repo: str, options: HubOptions) -> list[str]:
    """Make the repo, private, if there is none, and commit what is missing in it; give one line per thing made.

    Files that exist are never touched, but for the schema, which is brought up to date.

    Raises:
        ContentError: The name has no such form, or the token may not write there.
    """
    client = HubClient(checked_repo(repo), options)
    new = client.create()
    files = {
        "README.md": README.format(name=repo.split("/")[1], repo=repo),
        ".gitattributes": ATTRIBUTES,
        ".gitignore": IGNORE,
        "forge.yaml": PROJECT,
        "inbox/.gitkeep": "",
        "presets/.gitkeep": "",
        "manifests/my_crate.yaml.example": EXAMPLE,
        SCHEMA: json.dumps(schema(), indent=2) + "\n",
    }
    for _ in range(5):
        sha = client.head()
        present = {} if new else client.present(sha)
        missing = {
            path: text.encode()
            for path, text in files.items()
            if path not in present or (path == SCHEMA and not present[path].holds(text.encode()))
        }
        try:
            if missing:
                client.commit(sha, "Make a content folder for forge-batch", uuid.uuid4().hex, files=missing)
        except ConflictError:
            continue
        lines = [f"{'made' if new else 'kept'}    hf://datasets/{repo}{', private' if new else ''}"]
        words = {path: "kept" if path not in missing else "renewed" if path in present else "made" for path in files}
        lines += [f"{word:7} {path}" for path, word in words.items()]
        return [*lines, f"next: forge-batch push ASSET_DIR --content hf://datasets/{repo}, or read README.md there"]
    raise ContentError(f"hf://datasets/{repo} changes faster than it can be read", "run again later")
