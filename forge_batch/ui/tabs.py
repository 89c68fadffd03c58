"""Lay the tabs of the page out with Gradio; what is shown is worked out in `views`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import gradio as gr

from forge_batch.previews import SHOWN
from forge_batch.queue_view import STATES
from forge_batch.ui.markup import part
from forge_batch.ui.views import ASSET, EVERY, SORTS, Views, wish_of

FOLDER = Path(__file__).parent
QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
WORK: dict[str, Any] = {"concurrency_limit": 1, "api_visibility": "private"}


def html_part(script: str = "", **more: Any) -> gr.HTML:
    """Make a part whose links to assets stay within the page."""
    return gr.HTML(js_on_load=(FOLDER / "page.js").read_text() + script, elem_classes=["fb"], apply_default_css=False, **more)


def session_of(request: gr.Request) -> dict[str, Any]:
    """Give what the platform knows of who asks; nothing where nobody can log in."""
    scope = getattr(getattr(request, "request", None), "scope", {})
    found: dict[str, Any] = scope.get("session", {})
    return found


def queue_tab(views: Views) -> gr.HTML:
    """Lay out the queue: filter, order, a page of rows. Gives the rows."""
    with gr.Row(equal_height=True):
        text = gr.Textbox(label="Find", placeholder="name, kind, stage, reason", scale=3, min_width=240)
        state = gr.Dropdown([EVERY, *STATES], value=EVERY, label="State", min_width=130, filterable=False)
        sort = gr.Dropdown(list(SORTS), value="turn", label="Sorted by", min_width=130, filterable=False)
    first = urlencode({"state": EVERY, "sort": "turn", "page": 1})
    table = html_part(value=part("queue", "", wish=first), elem_id="queue")
    number = gr.Number(1, visible=False, precision=0)
    with gr.Row(elem_classes=["fb-pager"]):
        before = gr.Button("Previous", size="sm", min_width=90, scale=0)
        said = gr.HTML(part("words", ""), elem_classes=["fb"], apply_default_css=False, min_width=120)
        after = gr.Button("Next", size="sm", min_width=90, scale=0)

    def show(step: int | None) -> Callable[..., tuple[str, str, int]]:
        def work(text: str, state: str, sort: str, number: float) -> tuple[str, str, int]:
            return queue_parts(views, text, state, sort, 1 if step is None else (number or 1) + step)

        return work

    inputs, outputs = [text, state, sort, number], [table, said, number]
    for one in (text, state, sort):
        one.change(show(None), inputs, outputs, trigger_mode="always_last", **QUIET)
    before.click(show(-1), inputs, outputs, **QUIET)
    after.click(show(1), inputs, outputs, **QUIET)
    return table


def queue_parts(
    views: Views, text: str = "", state: str = EVERY, sort: str = "turn", number: float = 1
) -> tuple[str, str, int]:
    """Write a page of the queue and the words about it, with what it takes to keep them up to date."""
    html, words, page = views.queue(wish_of(text, state, sort, number))
    wish = urlencode({"text": str(text or "")[:200], "state": str(state), "sort": str(sort), "page": page})
    return part("queue", html, wish=wish), part("words", words), page


def asset_tab(views: Views, token: gr.State, asset: gr.State) -> list[Any]:
    """Lay out an asset's view; what the owner may do is hidden from others."""
    head = html_part(elem_id="asset")
    with gr.Column(visible=False) as owner:
        _actions(views, token, asset)
    with gr.Column(elem_classes=["fb-gone"]) as pictures, gr.Row():
        with gr.Column(min_width=300):
            model = gr.Model3D(label="Model", interactive=False, height=380, clear_color=(0.5, 0.5, 0.5, 0.25), elem_id="model")
            level = gr.Radio([], label="Level of detail")
            maps = gr.Radio(list(SHOWN), value=SHOWN[0], label="With")
        with gr.Column(min_width=300):
            slider = gr.ImageSlider(label="Input against render", interactive=False, height=380, elem_id="slider")
            side = gr.Radio([], label="Seen from")
    now, rest, log = (html_part(elem_id=f"asset-{name}") for name in ASSET[1:])
    for one in (level, maps):
        one.input(lambda name, level, maps: text_of(views.model(name, level, maps)), [asset, level, maps], model, **QUIET)
    side.input(lambda name, side: pair_of(views, name, side), [asset, side], slider, **QUIET)
    return [head, now, rest, log, owner, pictures, level, maps, side, model, slider]


def text_of(path: Path | None) -> str | None:
    """Give a path as Gradio takes it."""
    return None if path is None else str(path)


def pair_of(views: Views, name: str, side: str | None) -> tuple[str, str] | None:
    """Give an input picture and the render beside it as Gradio takes them."""
    found = views.pair(name, side)
    return None if found is None else (str(found[0]), str(found[1]))


def _actions(views: Views, token: gr.State, asset: gr.State) -> None:
    """Lay out what the owner may do with an asset."""
    with gr.Row(elem_classes=["fb-actions"]):
        buttons = [gr.Button(word.capitalize(), size="sm", min_width=90, scale=0) for word in ("retry", "cancel", "release")]
        bump = gr.Button("Set priority to", size="sm", min_width=120, scale=0)
        priority = gr.Number(
            50, label="Priority", minimum=0, maximum=100, precision=0, min_width=90, scale=0, container=False, show_label=False
        )
    said = gr.Markdown(elem_classes=["fb-note"])
    for word, button in zip(("retry", "cancel", "release"), buttons, strict=True):
        button.click(_act(views, word), [token, asset], said, **QUIET)
    bump.click(_act(views, "priority"), [token, asset, priority], said, **QUIET)


def _act(views: Views, word: str) -> Callable[..., Any]:
    def act(token: str, asset: str, value: float | None, request: gr.Request) -> dict[str, Any]:
        return gr.update(value=views.act(token, session_of(request), word, asset, value))

    def alone(token: str, request: gr.Request) -> dict[str, Any]:
        return gr.update(value=views.act(token, session_of(request), word))

    def plain(token: str, asset: str, request: gr.Request) -> dict[str, Any]:
        return gr.update(value=views.act(token, session_of(request), word, asset))

    return act if word == "priority" else alone if word in {"run", "pause", "resume"} else plain


def _try_gpu(views: Views) -> Callable[..., str]:
    def work(token: str, request: gr.Request) -> str:
        return views.try_gpu(token, session_of(request))

    return work


def _machine(views: Views) -> Callable[..., str]:
    def work(token: str, request: gr.Request) -> str:
        return views.machine(token, session_of(request))

    return work


def history_tab(views: Views, tab: gr.Tab) -> gr.HTML:
    """Lay out finished assets, and two builds of one side by side."""
    cards = html_part(elem_id="history")
    with gr.Row(equal_height=True):
        name = gr.Dropdown([], label="Builds of the asset", min_width=240)
        one, other = (gr.Dropdown([], label=label, min_width=160) for label in ("Build", "Beside it"))
    with gr.Row():
        left, right = (gr.HTML(elem_classes=["fb"], apply_default_css=False, min_width=280) for _ in range(2))

    def builds(name: str) -> list[Any]:
        found = views.builds(name)
        first, second = ([value for _, value in found] + [None, None])[:2]
        return [
            gr.update(choices=found, value=first), gr.update(choices=found, value=second),
            views.build(name, first), views.build(name, second),
        ]  # fmt: skip

    name.change(builds, name, [one, other, left, right], **QUIET)
    one.input(views.build, [name, one], left, **QUIET)
    other.input(views.build, [name, other], right, **QUIET)
    tab.select(lambda: (views.history(), gr.update(choices=views.finished())), None, [cards, name], **QUIET)
    return cards


def validate_tab(views: Views) -> None:
    """Lay out a trial of a manifest that nobody has committed."""
    with gr.Row():
        with gr.Column(min_width=300):
            name = gr.Textbox("my_asset", label="Name of the asset", max_length=90)
            text = gr.Textbox(
                "forge: 1\nplace:\n  height_cm: 92\n", label="Manifest", lines=14, max_lines=30, max_length=1_100_000,
                elem_id="manifest",
            )  # fmt: skip
            files = gr.File(label="Pictures: front, right, back, left", file_count="multiple", height=140, elem_id="pictures")
            button = gr.Button("Validate and price", variant="primary")
        said = gr.Textbox(label="What the command line says", lines=24, max_lines=60, interactive=False, elem_id="said")
    gr.Markdown("Nothing is written: commit the manifest and its pictures to have the asset made.", elem_classes=["fb-note"])

    def work(name: str, text: str, files: Sequence[str] | None) -> str:
        return views.judge(name, text, {Path(path).name: Path(path) for path in files or ()})

    button.click(work, [name, text, files], said, **WORK)


def presets_tab(views: Views) -> None:
    """Lay out what presets hold and how they differ."""
    names = views.presets()
    with gr.Row():
        one = gr.Dropdown(names, value=names[0], label="Preset", min_width=160)
        other = gr.Dropdown(["", *names], value="", label="Difference to", min_width=160)
    said = gr.Textbox(
        views.preset(names[0], ""), label="Values, and where each is from", lines=24, max_lines=60, interactive=False,
        elem_id="preset",
    )  # fmt: skip
    for box in (one, other):
        box.input(views.preset, [one, other], said, **QUIET)


def machine_tab(views: Views, token: gr.State) -> Any:
    """Lay out what the owner may do with the runner and the machine."""
    gr.Markdown("The runner and its machine are the owner's to act on; everybody else may look.", elem_classes=["fb-note"])
    with gr.Column(visible=False) as owner:
        with gr.Row(elem_classes=["fb-actions"]):
            words = ("Run now", "Pause", "Resume", "Try the GPU", "Look at the machine")
            *buttons, look = [gr.Button(word, size="sm", min_width=90, scale=0) for word in words]
        said = gr.Markdown(elem_classes=["fb-note"])
        for word, button in zip(("run", "pause", "resume"), buttons, strict=False):
            button.click(_act(views, word), token, said, **QUIET)
        buttons[-1].click(_try_gpu(views), token, said, **WORK)
        found = gr.HTML(elem_classes=["fb"], apply_default_css=False)
        look.click(_machine(views), token, found, **WORK)
    return owner
