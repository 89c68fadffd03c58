"""Open a report in a browser that is not ours."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from forge_batch.gate_text import HEAD, gate_rows
from forge_batch.gates import Gate
from forge_batch.ops.document import Document
from forge_batch.ops.image_file import encode_png, read_png
from tests.readers import chromium

MAGENTA = (255, 0, 255)


@pytest.mark.browser
@pytest.mark.parametrize("width", [1200, 390])
def test_a_report_shows_its_picture_within_the_page(tmp_path: Path, width: int) -> None:
    """On a desktop and on a phone the picture is drawn whole, and nothing of it lies beyond the window's edge."""
    page = Document("Crate")
    page.picture(encode_png(np.full((300, 900, 3), MAGENTA, np.uint8)), "a magenta picture")
    page.table(HEAD, gate_rows([Gate("uv_overlap", 3, 0, "texels", "fail", "texels covered more than once")]))
    (tmp_path / "report.html").write_text(page.to_html(), encoding="utf-8")
    shot = tmp_path / "shot.png"
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-sync",
    ]
    window = [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={max(width, 500)},900", f"--screenshot={shot}"]
    frame = f'<iframe src="report.html" style="border:0;width:{width}px;height:880px"></iframe>'
    (tmp_path / "frame.html").write_text(f'<!doctype html><body style="margin:0">{frame}', encoding="utf-8")
    url = (tmp_path / "frame.html").as_uri()
    subprocess.run([chromium(), *flags, *window, url], check=True, capture_output=True, timeout=120)
    drawn = (np.abs(read_png(shot)[..., :3].astype(int) - MAGENTA) < 12).all(axis=2)
    columns, rows = drawn.any(axis=0).nonzero()[0], drawn.any(axis=1).nonzero()[0]
    shown = columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1
    assert 300 < shown[0] <= width
    assert shown[0] / shown[1] == pytest.approx(3.0, rel=0.02)
