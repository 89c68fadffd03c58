"""Write anew what follows from messages and limits: the .expected files and the reference table of docs/manifest.md.

Run `python -m tests.manifests.write_expected` after such a change was made on purpose, then read the difference: each line
is what an author will see.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from forge_batch.manifest import reference_markdown
from tests.test_manifest import INVALID, REFERENCE_MARK, ROOT, make_content, shown

if __name__ == "__main__":
    for path in INVALID:
        with tempfile.TemporaryDirectory() as folder:
            path.with_suffix(".expected").write_text(shown(path, make_content(Path(folder))), encoding="utf-8")
    page = ROOT / "docs" / "manifest.md"
    head = page.read_text(encoding="utf-8").partition(REFERENCE_MARK)[0]
    page.write_text(f"{head}{REFERENCE_MARK}\n{reference_markdown()}", encoding="utf-8")
