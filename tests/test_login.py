"""Log in to a page on a Space, with Gradio's own OAuth and a Hub that is played, from the click to what it allows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from forge_batch.control import load_control
from tests.fakes import content_folder
from tests.login_server import LoginServer
from tests.serving import page
from tests.test_page import button
from tests.test_page_browser import DESKTOP, browser, shown  # noqa: F401 - a fixture

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Serve the page of a Space that belongs to `me`; give its address and its folder."""
    hub = LoginServer("me", "stranger")
    content = content_folder(tmp_path_factory.mktemp("space") / "content", "crate")
    try:
        with page(content, environment=hub.environment("me")) as address:
            yield f"http://localhost:{urlsplit(address).port}/", content
    finally:
        hub.close()


def log_in(view: Page, account: str) -> None:
    """Click through the login."""
    view.get_by_role("button", name="Sign in with Hugging Face").click()
    view.get_by_role("link", name=account).click()
    expect(view.get_by_role("button", name=f"Logout ({account})")).to_be_visible()
    expect(view.locator(".fb-title")).to_contain_text("crate")


def cancel(view: Page, address: str, number: int) -> str:
    """Call what the Cancel button calls, raw, with a viewer's cookies; the page need not show the button."""
    cookies = "; ".join(f"{one.get('name')}={one.get('value')}" for one in view.context.cookies(address))
    load = [one["id"] for one in httpx.get(f"{address}config").json()["dependencies"] if one["targets"][0][1] == "load"]
    said = ""
    for event, data in [*((one, []) for one in load), (button(address, "Cancel"), [None, None])]:
        body = {"fn_index": event, "data": data, "session_hash": f"raw{number}"}
        where = f"{address}gradio_api/run/predict?asset=crate"
        said = httpx.post(where, json=body, headers={"Cookie": cookies}, timeout=60).text
    return said


def test_only_the_owner_acts_however_one_comes(browser: Browser, space: tuple[str, Path]) -> None:  # noqa: F811
    """A stranger who has logged in sees no buttons and is refused raw; the owner cancels by name; logged out he may not."""
    address, content = space
    view = shown(browser, f"{address}?asset=crate", DESKTOP)
    assert "only the owner may do that" in cancel(view, address, 1)
    log_in(view, "stranger")
    assert "asset=crate" in view.url
    expect(view.get_by_role("button", name="Cancel")).to_have_count(0)
    assert "only the owner may do that" in cancel(view, address, 2)
    assert load_control(content).actions == ()
    view.get_by_role("button", name="Logout (stranger)").click()
    log_in(view, "me")
    view.get_by_role("button", name="Cancel").click()
    expect(view.get_by_text("me: cancel crate")).to_be_visible()
    (action,) = load_control(content).actions
    assert (action.by, action.word, action.asset) == ("me", "cancel", "crate")
    assert "me: cancel crate" in cancel(view, address, 3)
    view.get_by_role("button", name="Logout (me)").click()
    expect(view.get_by_role("button", name="Sign in with Hugging Face")).to_be_visible()
    expect(view.locator(".fb-title")).to_contain_text("crate")
    expect(view.get_by_role("button", name="Cancel")).to_have_count(0)
    assert "only the owner may do that" in cancel(view, address, 4)
    assert len(load_control(content).actions) == 2
    view.context.close()


def test_a_forged_session_is_nobody(space: tuple[str, Path]) -> None:
    """A cookie that the Space did not sign, and a way back from a login that was never begun, make nobody the owner."""
    address, content = space
    before = load_control(content)
    forged = {"Cookie": "session=eyJvYXV0aF9pbmZvIjogeyJ1c2VyaW5mbyI6IHsicHJlZmVycmVkX3VzZXJuYW1lIjogIm1lIn19fQ==.x.y"}
    body = {"fn_index": button(address, "Pause"), "data": [None], "session_hash": "forged"}
    answer = httpx.post(f"{address}gradio_api/run/predict", json=body, headers=forged, timeout=60)
    assert "only the owner may do that" in answer.text
    back = httpx.get(f"{address}login/callback?code=made-up&state=made-up", timeout=60)
    assert back.status_code in {302, 307}
    assert back.headers["location"].startswith("/login/huggingface")
    assert load_control(content) == before
