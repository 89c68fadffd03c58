"""Answer the page's events: plain values in, HTML and paths out. Knows nothing of Gradio; decides nothing about the queue."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any, TypeVar

from forge_batch.asset_view import detail, find_package, stage_folder
from forge_batch.builds import builds_of, windows_of
from forge_batch.content.open import repo_of
from forge_batch.doctor import diagnose
from forge_batch.errors import ForgeError
from forge_batch.explain import difference_text, explain_preset, explanation_text
from forge_batch.header_view import header
from forge_batch.presets import Presets
from forge_batch.previews import SOURCE, Previews
from forge_batch.queue_view import STATES, Row, Wish, select
from forge_batch.trial import judge
from forge_batch.ui import asset_markup, markup, windows_markup
from forge_batch.ui.site import Site

EVERY = "all"
SORTS = {"turn": "turn", "name": "name", "finish": "finish", "longest first": "estimate", "newest first": "newest"}
"""Orders of the queue, by the words that the page has for them."""
ASSET = ("head", "now", "rest", "log")
"""Parts of an asset's view."""
SHOWN_BUILDS = 24
MOST = 200
"""Answers that are kept for other viewers."""
T = TypeVar("T")


def wish_of(text: object, state: object, sort: object, page: object) -> Wish:
    """Read what a viewer wants to see; what makes no sense counts as nothing."""
    number = int(page) if isinstance(page, int | float) and abs(page) < 1e6 else 1
    states = frozenset({str(state)} & set(STATES))
    return Wish(text[:200] if isinstance(text, str) else "", states, SORTS.get(str(sort), "turn"), number)


@dataclass(frozen=True)
class Views:
    """Be the answers of one site."""

    site: Site
    _written: list[tuple[list[Row], dict[Hashable, Any]]] = field(default_factory=lambda: [([], {})])

    def now(self) -> datetime:
        return datetime.now(UTC)

    # -- every tick ----------------------------------------------------------------------------------------------------

    def top(self) -> str:
        """Write the header, once a second for all viewers together."""
        survey, now = self.site.survey, self.now()

        def write() -> str:
            return markup.header_html(header(survey.queue, survey.rows, now), survey.queue.folder, now)

        return self._once(("top", int(now.timestamp())), write)

    def queue(self, wish: Wish) -> tuple[str, str, int]:
        """Write a page of the queue; with the words about which page it is, and its number."""

        def write() -> tuple[str, str, int]:
            found = select(self.site.survey.rows, wish)
            return markup.queue_html(found, self.now()), markup.pager_text(found), found.number

        return self._once(wish, write)

    def live(self, wish: Wish, name: str, marks: Mapping[str, str]) -> dict[str, Any]:
        """Give those parts of the page whose marks differ from what a viewer has, and the version of the asset's package."""
        table, words, _ = self.queue(wish)
        parts = {"top": self.top(), "queue": table, "words": words}
        if name:
            parts |= self.asset(name)
        marked = {part: (sha256(html.encode()).hexdigest()[:12], html) for part, html in parts.items()}
        fresh = {part: {"mark": mark, "html": html} for part, (mark, html) in marked.items() if marks.get(part) != mark}
        return {"parts": fresh, "package": self.package(name) if name else ""}

    def _once(self, key: Hashable, write: Callable[[], T]) -> T:
        """Write something once for all viewers, as long as the survey has seen nothing new."""
        seen, written = self._written[0]
        if seen is not self.site.survey.rows or len(written) > MOST:
            written = {}
            self._written[0] = self.site.survey.rows, written
        if key not in written:
            written[key] = write()
        found: T = written[key]
        return found

    def asset(self, name: object) -> dict[str, str]:
        """Write the parts of an asset's view: how it stands, its timeline, the rest, and its log."""
        asset = name[:80] if isinstance(name, str) else ""
        return self._once(("asset", asset), lambda: self._asset(asset))

    def _asset(self, name: str) -> dict[str, str]:
        survey = self.site.survey
        one, row = detail(survey, name), survey.row(name)
        if one is None or row is None:
            said = f"There is no asset {name[:60]}." if name else "Choose an asset in the queue."
            return dict(zip(ASSET, (f'<p class="fb-empty">{escape(said)}</p>', "", "", ""), strict=True))
        repo = repo_of(self.site.content.name) or ""
        parts = (
            asset_markup.asset_head_html(one, row, self.now(), repo),
            asset_markup.timeline_html(one.stages, folded=row.state in {"done", "failed", "held"}),
            asset_markup.asset_rest_html(one, self._previews(name) is not None),
            asset_markup.log_html(one.log),
        )
        return dict(zip(ASSET, parts, strict=True))

    # -- of one asset --------------------------------------------------------------------------------------------------

    def model(self, name: object, level: object, shown: object) -> Path | None:
        """Give the GLB to look at; None if there is none."""
        made = self._previews(name)
        try:
            if made and level == SOURCE:
                return made.source_model()
            return made.model(int(str(level)[-1:] or 0), str(shown)) if made else None
        except (ForgeError, OSError, ValueError):
            return None

    def package(self, name: object) -> str:
        """Tell versions of an asset's package apart; empty if it has none."""
        made = self._previews(name)
        return f"{name} {made.folder.name}" if made else f"{name}"

    def levels(self, name: object) -> list[str]:
        """Name the levels of detail that can be looked at, and the mesh that all was made from."""
        made = self._previews(name)
        return [*(f"LOD{level}" for level in range(made.levels())), *([SOURCE] if made.source else [])] if made else []

    def sides(self, name: object) -> list[str]:
        """Name the views of an asset that have an input picture and a render."""
        entry = self.site.survey.standings.get(str(name))
        if entry is None or self._previews(name) is None:
            return []
        return [view for view in ("front", "right", "back", "left") if view in entry.order.images]

    def pair(self, name: object, view: object) -> tuple[Path, Path] | None:
        """Give an input picture and the render from its side; None if there are none."""
        made, entry = self._previews(name), self.site.survey.standings.get(str(name))
        if made is None or entry is None or str(view) not in entry.order.images:
            return None
        try:
            return made.pair(str(view), entry.order.images[str(view)].path)
        except (ForgeError, OSError, ValueError):
            return None

    def _previews(self, name: object) -> Previews | None:
        survey = self.site.survey
        row = survey.row(name) if isinstance(name, str) else None
        entry = survey.standings.get(row.asset) if row else None
        if row is None or entry is None:
            return None
        package = find_package(self.site.content, row)
        if package is None:
            return None
        lods, source = (stage_folder(self.site.content, entry.job, stage) for stage in ("build_lods", "generate"))
        return Previews(self.site.content.home, package, lods, source)

    # -- windows and history -------------------------------------------------------------------------------------------

    def windows(self) -> str:
        """Write past and planned windows, the allowance over the last day, and how well seconds were foretold."""
        survey = self.site.survey
        pairs = [
            (record.expected[0], record.seconds)
            for entry in list(survey.standings.values())[:500]
            for record in entry.job.records.values()
            if record.expected and record.state == "done"
        ][-1500:]
        return windows_markup.windows_html(windows_of(survey.content.home), survey.queue, pairs, self.now())

    def history(self) -> str:
        """Write the finished assets, newest first."""
        rows = [row for row in self.site.survey.rows if row.state == "done"]
        rows.sort(key=lambda row: -row.facts.made)
        return asset_markup.history_html(rows[:60])

    def finished(self) -> list[str]:
        """Name the finished assets, newest first."""
        rows = sorted(self.site.survey.rows, key=lambda row: -row.facts.made)
        return [row.asset for row in rows if row.facts.made][:MOST]

    def builds(self, name: object) -> list[tuple[str, str]]:
        """Give when each build of an asset was made and what it is called, newest first."""
        if not isinstance(name, str) or self.site.survey.row(name) is None:
            return []
        self.site.content.bring(f"exports/{name}/builds")
        names = [str(build["name"]) for build in builds_of(self.site.content.home, name)[:SHOWN_BUILDS]]
        return [(asset_markup.build_time(one), one) for one in names]

    def build(self, name: object, build: object) -> str:
        """Write one build of an asset."""
        known = builds_of(self.site.content.home, str(name)) if self.builds(name) else []
        return asset_markup.build_html(str(name), next((one for one in known if one["name"] == build), None))

    # -- presets, machine, validate ------------------------------------------------------------------------------------

    def presets(self) -> list[str]:
        """Name every preset."""
        return Presets(self.site.content.root).names()

    def preset(self, one: object, other: object) -> str:
        """Say what a preset comes down to, or how two differ, as `explain` does."""
        try:
            names = [name for name in (one, other) if name in self.presets()]
            first, *second = (explain_preset(str(name), self.site.content.root) for name in names)
            return difference_text(first, second[0]) if second and other != one else explanation_text(first)
        except (ForgeError, ValueError) as error:
            return str(error)

    def machine(self, token: object, session: dict[str, Any]) -> str:
        """Write what `doctor` finds; it names folders of the machine, so it is for the owner."""
        if not self.site.owner(token, session):
            return '<p class="fb-empty">Only the owner may look at the machine.</p>'
        return windows_markup.checks_html(diagnose(self.site.content.root, online=False))

    def try_gpu(self, token: object, session: dict[str, Any]) -> str:
        """Open a window without work, for the owner, and say what came of it."""
        try:
            return self.site.try_gpu(self.site.owner(token, session))
        except ForgeError as error:
            return str(error)

    def judge(self, name: object, text: object, pictures: Mapping[str, Path]) -> str:
        """Say of a manifest what the command line says."""
        survey = self.site.survey
        queue = [entry.order for entry in survey.standings.values()]
        words = text if isinstance(text, str) else ""
        return judge(self.site.content, str(name or ""), words, pictures, queue, self.now(), survey.workers)

    def act(self, token: object, session: dict[str, Any], word: str, asset: object = "", value: object = None) -> str:
        """Do what the owner asks for, or say why not."""
        number = int(value) if isinstance(value, int | float) and abs(value) < 1e6 else None
        try:
            return self.site.act(self.site.owner(token, session), word, str(asset or ""), number)
        except ForgeError as error:
            return str(error)
