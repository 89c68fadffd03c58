"""Lay the page out with Gradio. The only module that imports it; what is shown is worked out in `views`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import gradio as gr

from forge_batch.content.open import repo_of
from forge_batch.content.webhook import Webhook
from forge_batch.executors.zero_gpu import API_NAME, endpoint
from forge_batch.previews import SHOWN
from forge_batch.settings import Settings
from forge_batch.ui.markup import part
from forge_batch.ui.routes import routes
from forge_batch.ui.site import Site
from forge_batch.ui.tabs import (
    QUIET,
    asset_tab,
    history_tab,
    html_part,
    machine_tab,
    pair_of,
    presets_tab,
    queue_tab,
    session_of,
    text_of,
    validate_tab,
)
from forge_batch.ui.views import Views

WAITS = '<p class="fb-empty">Looking at the queue.</p>'
"""What stands in a part until the first news: the page itself is made once, and knows nothing that is true later."""
TICK = 3.0
"""Seconds between two looks of a viewer; a tab that nobody sees does not look."""
LARGEST = "24mb"
FOLDER = Path(__file__).parent


def build_page(site: Site, views: Views, settings: Settings) -> gr.Blocks:
    """Make the page of a site."""
    page: gr.Blocks
    live = (FOLDER / "live.js").read_text().replace("EVERY", str(round(1000 * TICK)))
    with gr.Blocks(title="forge_batch", analytics_enabled=False, delete_cache=(3600, 86400)) as page:
        token, asset = gr.State(""), gr.State("")
        if settings.page.login:
            gr.LoginButton(size="sm")
        top = html_part(live, value=part("top", WAITS))
        with gr.Tabs(selected="queue") as tabs:
            with gr.Tab("Queue", id="queue"):
                queue = queue_tab(views)
            with gr.Tab("Asset", id="asset"):
                view = asset_tab(views, token, asset)
                texts, pictures = [asset, *view[:5]], view[5:]
            with gr.Tab("Windows", id="windows") as tab:
                windows = html_part()
                tab.select(views.windows, None, windows, **QUIET)
            with gr.Tab("History", id="history") as tab:
                history = history_tab(views, tab)
            with gr.Tab("Validate", id="validate"):
                validate_tab(views)
            with gr.Tab("Presets", id="presets"):
                presets_tab(views)
            with gr.Tab("Machine", id="machine"):
                machine = machine_tab(views, token)
        events = _Events(site, views)
        load = {"fn": events.pictures, "inputs": asset, "outputs": pictures, **QUIET}
        for one in (queue, history):
            one.click(events.click, token, [tabs, *texts], **QUIET).then(**load)
        page.load(events.arrive, None, [token, machine, tabs, *texts], **QUIET).then(**load)
        top.submit(lambda: None, None, pictures[-2], **QUIET).then(**load)  # what is given anew must differ to be seen
        if settings.access.secret and settings.access.space:
            register = getattr(gr, "api")  # noqa: B009 - Gradio does not say that it exports it
            register(endpoint(settings.access.secret), api_name=API_NAME, api_visibility="undocumented")
    return page


class _Events:
    """Answer what happens to the page as a whole. What changes by itself is brought by live.js, from the route /live."""

    def __init__(self, site: Site, views: Views) -> None:
        self.site, self.views = site, views

    def arrive(self, request: gr.Request) -> list[Any]:
        """Open the page, at the asset and with the token that its address names."""
        query = request.query_params
        given, name = str(query.get("token", "")), str(query.get("asset", ""))
        owns = bool(self.site.owner(given, session_of(request)))
        return [given, gr.update(visible=owns), gr.Tabs(selected="asset" if name else "queue"), *self._view(name, owns)]

    def click(self, event: gr.EventData, token: str, request: gr.Request) -> list[Any]:
        """Open an asset's view."""
        owns = bool(self.site.owner(token, session_of(request)))
        return [gr.Tabs(selected="asset"), *self._view(str(getattr(event, "asset", "")), owns)]

    def pictures(self, name: str) -> list[Any]:
        """Give an asset's model and its inputs beside renders."""
        levels, sides = self.views.levels(name), self.views.sides(name)
        level, side = next(iter(levels), None), next(iter(sides), None)
        return [
            gr.update(elem_classes=[] if levels else ["fb-gone"]),  # not `visible`: Gradio drops a model that comes with it
            gr.update(choices=levels, value=level),
            gr.update(value=SHOWN[0]),
            gr.update(choices=sides, value=side),
            text_of(self.views.model(name, level, SHOWN[0])),
            pair_of(self.views, name, side),
        ]

    def _view(self, name: str, owns: bool) -> list[Any]:
        package = self.views.package(name) if name else ""
        shown = {"head": {"shown": name[:64], "package": package}}
        parts = [part(key, html, **shown.get(key, {})) for key, html in self.views.asset(name).items()]
        return [name, *parts, gr.update(visible=owns and bool(name))]


FIRST_LOOK = 3.0
"""Seconds that the page waits to know what it shows; a longer folder is read beside it, and it says so meanwhile."""
SWITCH = 0.0005
"""Seconds that a thread may keep Python to itself: a viewer's answer is made in many small steps, and each of them would wait
for Python's usual 5 ms while a long folder is read beside it."""


def serve(
    site: Site, settings: Settings, *, runs: bool, host: str | None = None, port: int | None = None
) -> tuple[gr.Blocks, str]:
    """Start the page and, where wanted, the runner behind it; give the page and its address. Returns at once."""
    sys.setswitchinterval(SWITCH)
    known = site.survey.remember()
    if not known:
        site.survey.start()
        site.survey.ready.wait(FIRST_LOOK)
    views = Views(site)
    page = build_page(site, views, settings)
    _, address, _ = page.launch(
        server_name=host,
        server_port=port,
        prevent_thread_lock=True,
        quiet=True,
        show_error=False,
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        share=False,
        max_file_size=LARGEST,
        theme=gr.themes.Default(primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
        css=(FOLDER / "page.css").read_text(),
        app_kwargs={
            "docs_url": None,
            "redoc_url": None,
            "openapi_url": None,
            "routes": routes(site, views, _webhook(site, settings)),
        },
    )
    if known:  # there is something to show: reading the folder does not hold up the start
        site.survey.start()
    if runs:
        site.start()
    return page, address


def _webhook(site: Site, settings: Settings) -> Webhook | None:
    """Make what the Hub calls; None where content is a folder, or no secret is set."""
    repo, secret = repo_of(site.content.name), settings.hub.webhook_secret
    if repo is None or not secret:
        return None
    bell = getattr(site.content, "bell", site.nudge)
    return Webhook(repo, secret, getattr(site.content, "own_commits", ()), bell.set)
