"""Take the pictures of the page that stand in docs/page/: every view of a page that runs, desktop and phone, light and dark.

python docs/page/take.py http://127.0.0.1:7860/ wood_barrel --failed biplane --out docs/page
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.readers import chromium
from tests.test_page_browser import DESKTOP, FLAGS, PHONE, TABS, open_tab

MOST = 2400
"""Pixels of a picture's height: what lies below is more of the same."""


def views(view: Page, address: str, asset: str, failed: str) -> list[tuple[str, bytes]]:
    """Open every view and take its picture."""
    taken = []

    def take(name: str) -> None:
        view.wait_for_timeout(2500)
        taken.append((name, view.screenshot(full_page=True)))

    for name, shown in (("asset", asset), ("failed", failed)):
        if shown:
            view.goto(f"{address}{'&' if '?' in address else '?'}asset={shown}")
            view.wait_for_selector(".fb-title")
            view.evaluate("document.querySelectorAll('img[loading=lazy]').forEach((one) => { one.loading = 'eager' })")
            view.wait_for_timeout(20_000)  # the model turns up last
            take(name)
    for tab in TABS:
        open_tab(view, tab)
        if tab == "History":
            view.get_by_label("Builds of the asset").click()
            view.get_by_role("option", name=asset).click()
        if tab == "Validate":
            view.get_by_role("button", name="Validate and price").click()
            view.wait_for_timeout(3000)
        take(tab.lower())
    return taken


def save(data: bytes, path: Path) -> None:
    """Keep a picture small: WebP, its upper part."""
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    picture.crop((0, 0, picture.width, min(MOST, picture.height))).save(path, "WEBP", quality=72, method=6)


def shots(browser: Browser, asked: argparse.Namespace) -> None:
    """Take all pictures in both sizes and themes."""
    for word, size in (("desktop", DESKTOP), ("phone", PHONE)):
        for theme in ("light", "dark"):
            context = browser.new_context(viewport=size, color_scheme=theme)  # type: ignore[arg-type]
            view = context.new_page()
            view.goto(asked.address)
            for name, data in views(view, asked.address, asked.asset, asked.failed):
                if not asked.only or f"{name}-{word}-{theme}" in asked.only:
                    save(data, asked.out / f"{name}-{word}-{theme}.webp")
            context.close()


def main() -> None:
    """Read the command line and take them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("asset")
    parser.add_argument("--failed", default="")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--only", nargs="*", default=[])
    asked = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(chromium()), args=FLAGS)
        shots(browser, asked)
        browser.close()


if __name__ == "__main__":
    main()
