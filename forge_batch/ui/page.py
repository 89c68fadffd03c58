"""Lay the page out with Gradio. The only module that imports it; what is shown is worked out in `views`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from starlette.concurrency import run_in_threadpool

from forge_batch.content.open import repo_of
from forge_batch.content.webhook import Webhook
from forge_batch.executors.zero_gpu import API_NAME, endpoint
from forge_batch.previews import SHOWN
from forge_batch.settings import Settings
from forge_batch.ui.routes import routes
from forge_batch.ui.site import Site
from forge_batch.ui.tabs import (
    QUIET,
    asset_tab,
    fresh,
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
from forge_batch.ui.views import EVERY, Views

TICK = 4.0
"""Seconds between two looks of a viewer; a tab that nobody sees does not look."""
RESEND = 20
"""Ticks after which a viewer is sent all that he looks at."""
TEXTS, PICTURES = 4, 6
"""How many parts an asset's view has of either kind."""
LARGEST = "24mb"
FOLDER = Path(__file__).parent


def build_page(site: Site, settings: Settings) -> gr.Blocks:
    """Make the page of a site."""
    views = Views(site)
    page: gr.Blocks
    with gr.Blocks(title="forge_batch", analytics_enabled=False, delete_cache=(3600, 86400)) as page:
        seen, token, asset = gr.State({}), gr.State(""), gr.State("")
        if settings.page.login:
            gr.LoginButton(size="sm")
        top = html_part(value=views.top())
        with gr.Tabs(selected="queue") as tabs:
            with gr.Tab("Queue", id="queue"):
                queue = queue_tab(views, seen)
            with gr.Tab("Asset", id="asset"):
                view = asset_tab(views, token, asset)
                texts, pictures = [asset, *view[:4]], view[4:]
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
        load = {"fn": events.pictures, "inputs": [seen, asset], "outputs": [seen, *pictures], **QUIET}
        ask = [queue["text"], queue["state"], queue["sort"], queue["number"]]
        lists = [top, queue["table"], queue["words"]]
        for one in (queue["table"], history):
            one.click(events.click, [seen, token], [seen, tabs, *texts], **QUIET).then(**load)
        page.load(events.arrive, seen, [seen, token, machine, tabs, *lists, *texts], **QUIET).then(**load)
        gr.Timer(TICK).tick(events.tick, [seen, token, asset, *ask], [seen, *lists, *texts[1:], *pictures], **QUIET)
        if settings.access.secret and settings.access.space:
            register = getattr(gr, "api")  # noqa: B009 - Gradio does not say that it exports it
            register(endpoint(settings.access.secret), api_name=API_NAME, api_visibility="undocumented")
    return page


class _Events:
    """Answer what happens to the page as a whole. `seen` is what this viewer has: only what differs from it is sent."""

    def __init__(self, site: Site, views: Views) -> None:
        self.site, self.views = site, views

    def arrive(self, seen: dict[str, Any], request: gr.Request) -> list[Any]:
        """Open the page, at the asset and with the token that its address names."""
        query = request.query_params
        given, name = str(query.get("token", "")), str(query.get("asset", ""))
        owns = bool(self.site.owner(given, session_of(request)))
        seen.clear()
        lists = self._lists(seen, "", EVERY, "turn", 1)
        selected = gr.Tabs(selected="asset" if name else "queue")
        return [seen, given, gr.update(visible=owns), selected, *lists, name, *self._view(seen, name, owns)]

    def click(self, event: gr.EventData, seen: dict[str, Any], token: str, request: gr.Request) -> list[Any]:
        """Open an asset's view."""
        name = str(getattr(event, "asset", ""))
        owns = bool(self.site.owner(token, session_of(request)))
        return [seen, gr.Tabs(selected="asset"), name, *self._view(seen, name, owns)]

    async def tick(
        self, seen: dict[str, Any], token: str, name: str, text: str, state: str, sort: str, number: float, request: gr.Request
    ) -> list[Any]:
        """Bring the page up to date; all of it now and then, since an answer may have been lost."""
        count = int(seen.get("ticks", 0)) + 1
        if count % RESEND == 0:
            seen = {key: seen[key] for key in ("package",) if key in seen}
        seen["ticks"] = count
        lists = self._lists(seen, text, state, sort, number)
        if not name:
            return [seen, *lists, *[gr.skip()] * (TEXTS + PICTURES)]
        owns = bool(self.site.owner(token, session_of(request)))
        view = await run_in_threadpool(self._view, seen, name, owns)
        return [seen, *lists, *view, *(await run_in_threadpool(self.pictures, seen, name))[1:]]

    def pictures(self, seen: dict[str, Any], name: str) -> list[Any]:
        """Give an asset's model and its inputs beside renders, made and sent only when its package is another."""
        package = self.views.package(name)
        if seen.get("package") == package:
            return [seen, *[gr.skip()] * PICTURES]
        seen["package"] = package
        levels, sides = self.views.levels(name), self.views.sides(name)
        level, side = next(iter(levels), None), next(iter(sides), None)
        return [
            seen,
            gr.update(elem_classes=[] if levels else ["fb-gone"]),  # not `visible`: Gradio drops a model that comes with it
            gr.update(choices=levels, value=level),
            gr.update(value=SHOWN[0]),
            gr.update(choices=sides, value=side),
            text_of(self.views.model(name, level, SHOWN[0])),
            pair_of(self.views, name, side),
        ]

    def _lists(self, seen: dict[str, Any], text: str, state: str, sort: str, number: float) -> list[Any]:
        html, words, _ = self.views.queue(text, state, sort, number)
        return fresh(seen, top=self.views.top(), queue=html, words=words)

    def _view(self, seen: dict[str, Any], name: str, owns: bool) -> list[Any]:
        head, now, rest = self.views.asset(name)
        return [*fresh(seen, head=head, now=now, rest=rest), gr.update(visible=owns and bool(name))]


def serve(
    site: Site, settings: Settings, *, runs: bool, host: str | None = None, port: int | None = None
) -> tuple[gr.Blocks, str]:
    """Start the page and, where wanted, the runner behind it; give the page and its address. Returns at once."""
    site.survey.look()
    page = build_page(site, settings)
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
        app_kwargs={"docs_url": None, "redoc_url": None, "openapi_url": None, "routes": routes(site, _webhook(site, settings))},
    )
    site.start(runs)
    return page, address


def _webhook(site: Site, settings: Settings) -> Webhook | None:
    """Make what the Hub calls; None where content is a folder, or no secret is set."""
    repo, secret = repo_of(site.content.name), settings.hub.webhook_secret
    if repo is None or not secret:
        return None
    bell = getattr(site.content, "bell", site.nudge)
    return Webhook(repo, secret, getattr(site.content, "own_commits", ()), bell.set)
