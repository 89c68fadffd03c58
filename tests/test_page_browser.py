"""Look at the page in a browser that is not ours, the way its users do."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.fakes import LEAST, content_folder, picture
from tests.page_server import TOKEN
from tests.readers import chromium
from tests.serving import page

pytestmark = pytest.mark.browser

FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
DESKTOP, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
HOSTILE = '<script>window.hurt=1</script><img src=x onerror="window.hurt=1">'
WAIT = 60_000
"""Milliseconds that anything may take on a busy machine."""
expect.set_options(timeout=WAIT)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start chromium once."""
    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=str(chromium()), args=FLAGS)
        yield one
        one.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Serve a page of one finished asset, one that failed, and one whose manifest is an attack."""
    content = content_folder(tmp_path_factory.mktemp("site") / "content", "crate", "lamp")
    attack = f"forge: 1\nplace: {{height_cm: 60}}\nimages: ../../etc/passwd\n'{HOSTILE}': 1\nnotes: '{HOSTILE}'\n"
    (content / "manifests" / "attack.yaml").write_text(attack)
    (content / "manifests" / "long.yaml").write_text(f"forge: 1\nasset: {'a' * 1_000_000}\nplace: {{height_cm: 60}}\n")
    with page(content, "--runner", "--fail", "lamp") as address:
        end = time.monotonic() + 60
        while [httpx.get(f"{address}healthz").json()["queue"][state] for state in ("done", "failed")] != [1, 3]:
            assert time.monotonic() < end
            time.sleep(0.2)
        yield address, content


def shown(browser: Browser, address: str, size: dict[str, int], theme: str = "light") -> Page:
    """Open an address in a window of a size."""
    context = browser.new_context(viewport=size, color_scheme=theme, accept_downloads=True)  # type: ignore[arg-type]
    one = context.new_page()
    one.set_default_timeout(WAIT)
    one.goto(address)
    return one


def test_a_run_is_watched_without_reload(browser: Browser, tmp_path: Path) -> None:
    """Three assets go from queued over working to done before the viewer's eyes, and the header tells of each."""
    content = content_folder(tmp_path / "content", "crate", "hat", "lamp")
    with page(content, "--runner", "--seconds", "0.2") as address:
        view = shown(browser, address, DESKTOP)
        view.evaluate("window.same = true")
        expect(view.locator("[data-row=lamp]")).to_contain_text("queued")
        expect(view.locator("[data-row=crate]")).to_contain_text("working")
        expect(view.locator(".fb-doing")).to_contain_text("Works on crate")
        expect(view.locator("[data-row=crate]")).to_contain_text("of 19")
        for name in ("crate", "hat", "lamp"):
            expect(view.locator(f"[data-row={name}]")).to_contain_text("done", timeout=60_000)
        expect(view.locator(".fb-doing")).to_contain_text("Idle")
        assert view.evaluate("window.same") is True
        view.context.close()


def test_an_asset_has_an_address(browser: Browser, site: tuple[str, Path]) -> None:
    """Its address opens its view; a link in the queue does the same without reload, and by keyboard."""
    view = shown(browser, f"{site[0]}?asset=lamp", DESKTOP)
    expect(view.locator(".fb-title")).to_contain_text("lamp")
    expect(view.locator("#asset")).to_contain_text("uv overlap: 3 texels")
    view.evaluate("window.same = true")
    view.get_by_role("tab", name="Queue").click()
    view.locator("[data-row=crate] a").focus()
    view.keyboard.press("Enter")
    expect(view.locator(".fb-title")).to_contain_text("crate")
    assert view.url.endswith("?asset=crate")
    assert view.evaluate("window.same") is True
    view.context.close()


def test_the_model_is_seen(browser: Browser, site: tuple[str, Path]) -> None:
    """The viewer's canvas shows more than one colour; another level of detail, looked at with another map, is fetched."""
    view = shown(browser, f"{site[0]}?asset=crate", DESKTOP)
    canvas = view.locator("#model canvas")
    expect(canvas).to_be_visible()
    canvas.evaluate("canvas => canvas.remove()")  # as if Gradio had lost it, which it does when its viewer comes late
    expect(canvas).to_be_visible()
    end = time.monotonic() + WAIT / 1000
    while time.monotonic() < end:
        pixels = np.asarray(Image.open(io.BytesIO(canvas.screenshot())).convert("RGB")).reshape(-1, 3)[::7]
        if len(np.unique(pixels // 16, axis=0)) > 8:
            break
    assert len(np.unique(pixels // 16, axis=0)) > 8
    with view.expect_response(lambda response: response.url.endswith("lod2-0.glb")):
        view.get_by_label("LOD2").check()
    expect(view.locator("#slider img").first).to_be_visible()
    expect(view.locator(".fb-gates").first).to_contain_text("3 texels")
    view.context.close()


def test_what_is_downloaded_is_the_package(browser: Browser, site: tuple[str, Path]) -> None:
    """The download button gives the bytes of the export."""
    view = shown(browser, f"{site[0]}?asset=crate", PHONE)
    with view.expect_download() as waits:
        view.get_by_role("link", name="Download export_Crate_UE5.zip").click()
    data = Path(waits.value.path()).read_bytes()
    assert data == (site[1] / "exports" / "crate" / "export_Crate_UE5.zip").read_bytes()
    view.context.close()


def test_filters_find(browser: Browser, site: tuple[str, Path]) -> None:
    """A word and a state leave those rows that have both."""
    view = shown(browser, site[0], DESKTOP)
    view.get_by_label("Find").fill("crate")
    expect(view.locator("[data-row=lamp]")).to_have_count(0)
    expect(view.locator("[data-row=crate]")).to_have_count(1)
    view.get_by_label("Find").fill("")
    view.get_by_label("State").click()
    view.get_by_role("option", name="failed").click()
    expect(view.locator("[data-row=crate]")).to_have_count(0)
    expect(view.locator("[data-row=lamp]")).to_have_count(1)
    view.context.close()


def test_an_attack_is_only_text(browser: Browser, site: tuple[str, Path]) -> None:
    """Script, a path that leaves the folder and a name of a megabyte show as text, in the CLI's words, and run nothing."""
    view = shown(browser, f"{site[0]}?asset=attack", PHONE)
    said = view.get_by_label("problems")
    expect(said).to_contain_text("manifests/attack.yaml:")
    expect(said).to_contain_text("<script>")
    expect(said).to_contain_text("../../etc/passwd")
    view.get_by_role("tab", name="Queue").click()
    expect(view.locator("[data-row=long]")).to_contain_text("failed")
    assert view.evaluate("window.hurt") is None
    assert len(view.content()) < 400_000
    view.context.close()


def test_the_owner_sees_what_others_do_not(browser: Browser, site: tuple[str, Path]) -> None:
    """Only with the token are there buttons; cancelling is noted and shown."""
    view = shown(browser, f"{site[0]}?asset=lamp", DESKTOP)
    expect(view.locator(".fb-title")).to_contain_text("lamp")
    expect(view.get_by_role("button", name="Cancel")).to_have_count(0)
    view.goto(f"{site[0]}?asset=lamp&token={TOKEN.replace(' ', '%20')}")
    view.get_by_role("button", name="Cancel").click()
    expect(view.get_by_text("owner: cancel lamp")).to_be_visible()
    expect(view.locator(".fb-title")).to_contain_text("held")
    view.context.close()


def test_a_dead_runner_is_told_of(browser: Browser, tmp_path: Path) -> None:
    """A runner killed in the middle of its work is called dead within two of its heartbeats and two looks of the page."""
    content = content_folder(tmp_path / "content", "crate")
    with page(content) as address:
        view = shown(browser, address, DESKTOP)
        with page(content, "--no-page", "--seconds", "2", "--beat", "1"):
            expect(view.locator(".fb-doing")).to_contain_text("Works on crate")
        killed = time.monotonic()
        expect(view.locator(".fb-doing")).to_contain_text("The runner died")
        assert time.monotonic() - killed < 2 * 1 + 2 * 3 + 3
        expect(view.locator("[data-row=crate]")).to_contain_text("queued")
        view.context.close()


def test_two_thousand_assets(browser: Browser, tmp_path: Path) -> None:
    """A page of a long queue is painted within a second, turns its pages and finds the last of them."""
    content = content_folder(tmp_path / "content", "asset_0000")
    image = content / "inbox" / "asset_0000"
    for number in range(1, 2000):
        name = f"asset_{number:04}"
        (content / "manifests" / f"{name}.yaml").write_text(LEAST + "images: asset_0000\n")
    assert image.is_dir()
    with page(content) as address:
        view = shown(browser, address, DESKTOP)
        expect(view.locator("[data-row=asset_0000]")).to_be_visible(timeout=120_000)  # once the folder is read
        painted = []
        while min(painted, default=1000) >= 1000 and len(painted) < 6:  # other work on this machine may slow some of them down
            view.reload()
            expect(view.locator("[data-row=asset_0000]")).to_be_visible()
            painted.append(view.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
        assert min(painted) < 1000, painted  # milliseconds
        view.get_by_role("button", name="Next").click()
        expect(view.locator("[data-row=asset_0030]")).to_be_visible()
        view.get_by_label("Find").fill("1999")
        expect(view.locator("[data-row=asset_1999]")).to_be_visible()
        assert view.locator("[data-row]").count() == 1
        view.context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_nothing_keeps_anybody_out(browser: Browser, site: tuple[str, Path], size: dict[str, int], theme: str) -> None:
    """In every tab axe-core finds nothing serious, and nothing lies beyond the window's edge."""
    view = shown(browser, f"{site[0]}?asset=crate", size, theme)
    expect(view.locator(".fb-title")).to_contain_text("crate")
    expect(view.locator("#slider img").first).to_be_visible()
    found = []
    for tab in ("", *TABS):
        if tab:
            open_tab(view, tab)
        results = Axe().run(view).response["violations"]
        found += [
            f"{tab or 'Asset'}: {one['id']}: {node['html'][:160]} {node['target']}"
            for one in results
            if one["impact"] in {"serious", "critical"}
            for node in one["nodes"]
        ]
        assert view.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert not found, "\n".join(found)
    view.context.close()


TABS = ("Queue", "Windows", "History", "Validate", "Presets", "Machine")


def open_tab(view: Page, name: str) -> None:
    """Open a tab, behind the menu where there is no room for it."""
    tab = view.get_by_role("tab", name=name)
    expect(view.get_by_role("tab", name="Queue").first).to_be_visible()
    view.wait_for_timeout(300)
    if not tab.first.is_visible():
        view.locator(".overflow-menu button").first.click()
        view.locator(".overflow-dropdown button", has_text=name).click()
    else:
        tab.first.click()
    view.wait_for_timeout(300)


def test_a_manifest_is_tried(browser: Browser, site: tuple[str, Path], tmp_path: Path) -> None:
    """Pasted with a picture, a manifest is judged in the CLI's words, with its price; nothing is written."""
    before = sorted(path.name for path in (site[1] / "manifests").iterdir())
    view = shown(browser, site[0], DESKTOP)
    open_tab(view, "Validate")
    view.get_by_label("Manifest").fill("forge: 1\nplace: {heigth_cm: 60}\n")
    view.get_by_role("button", name="Validate and price").click()
    said = view.locator("#said textarea")
    expect(said).to_have_value(re.compile("did you mean"))
    view.locator("#pictures input[type=file]").set_input_files(picture(tmp_path / "front.png"))
    view.get_by_label("Manifest").fill(LEAST)
    expect(view.locator("#pictures")).to_contain_text("front")
    view.get_by_role("button", name="Validate and price").click()
    expect(said).to_have_value(re.compile("1 manifest: "))
    assert sorted(path.name for path in (site[1] / "manifests").iterdir()) == before
    view.context.close()
