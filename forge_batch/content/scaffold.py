"""Make a new content folder."""

from __future__ import annotations

import json
from pathlib import Path

from forge_batch.content.local import replace_file
from forge_batch.errors import ContentError
from forge_batch.manifest import schema

SCHEMA = "manifests/manifest.schema.json"
SCHEMA_LINE = "# yaml-language-server: $schema=./manifest.schema.json"
"""First line of a manifest: what completes and checks it in editors that know the YAML language server."""

EXAMPLE = f"""\
{SCHEMA_LINE}
# One file per asset; the file's name is the asset's name. To try it: put front.png (and right, back, left if you have them)
# into inbox/my_crate/, rename this file to my_crate.yaml, then run: forge-batch validate && forge-batch run
forge: 1
preset: prop_UE5_standard
kind: prop
images: my_crate            # the folder in inbox/
place:
  height_cm: 60             # the real height, always needed
decimate:
  triangles: 6000           # a ceiling for LOD0
"""

PROJECT = """\
# What holds for every asset of this folder.
project:
  commercial: true          # will results be sold? keeps generators away whose licence forbids it
"""

IGNORE = "/work/\n/state/runner.lock\n"


def init(folder: Path) -> list[str]:
    """Make the folders and an example manifest; give one line per thing made.

    Existing files are never touched, but for the schema, which is brought up to date.

    Raises:
        ContentError: The folder cannot be written, or a file stands where a folder should.
    """
    files = {
        "inbox/.gitkeep": "",
        "presets/.gitkeep": "",
        "manifests/my_crate.yaml.example": EXAMPLE,
        "forge.yaml": PROJECT,
        ".gitignore": IGNORE,
    }
    if folder.exists() and not folder.is_dir():
        raise ContentError(f"{folder} is a file", "name a folder")
    lines = [f"{write_schema(folder)} {folder / SCHEMA}"]
    for name, text in files.items():
        path = folder / name
        if path.exists():
            lines.append(f"kept    {path}")
            continue
        replace_file(path, text.encode())
        lines.append(f"made    {path}")
    return [*lines, f"next: put images into {folder}/inbox/my_crate/ and read {folder}/manifests/my_crate.yaml.example"]


def write_schema(folder: Path) -> str:
    """Leave the JSON Schema beside the manifests, for editors; give `made`, `renewed` or `kept`.

    Raises:
        ContentError: The folder cannot be written.
    """
    path = folder / SCHEMA
    text = json.dumps(schema(), indent=2) + "\n"
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return "kept   "
    word = "renewed" if path.is_file() else "made   "
    replace_file(path, text.encode())
    return word
