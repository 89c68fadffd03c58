"""Write what the page shows as HTML. Everything that comes from outside is text, and is escaped here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape
from urllib.parse import quote

from forge_batch.header_view import Header
from forge_batch.plain_text import duration
from forge_batch.queue_view import SIGNS, STATES, Page, Row
from forge_batch.stages import STAGES

HEARTS = {"alive": ("●", "alive"), "dead": ("✕", "died"), "away": ("○", "away"), "paused": ("■", "paused")}
NUMBERS = frozenset({"Open", "Foretold", "Worked", "Took", "Foretold, half / nine of ten", "Measured", "Limit"})
"""Heads of columns whose figures stand at the right."""
LONGEST = 240
"""Characters of a text from outside that a row shows; the asset's own view shows all of it."""


def short(text: str, most: int = LONGEST) -> str:
    """Escape a text, cut to a length."""
    return escape(text if len(text) <= most else text[: most - 1] + "…")


def link(asset: str, text: str | None = None) -> str:
    """Link to an asset's view."""
    name = quote(asset)
    return f'<a href="?asset={name}" data-asset="{escape(asset)}" data-key="a-{escape(asset)}">{short(text or asset, 64)}</a>'


def badge(state: str) -> str:
    """Write a state as a shape and a word."""
    return f'<span class="fb-badge fb-{state}"><span aria-hidden="true">{SIGNS[state]}</span> {state}</span>'


def header_html(top: Header, folder: str, now: datetime) -> str:
    """Write the top of the page."""
    sign, word = HEARTS[top.alive]
    age = "never heard of" if top.age is None else f"heartbeat {duration(top.age)} ago"
    counts = " ".join(
        f'<li class="fb-{state}{"" if top.counts[state] else " fb-none"}">'
        f'<span aria-hidden="true">{SIGNS[state]}</span> <b>{top.counts[state]}</b> {state}</li>'
        for state in STATES
    )
    known = {"seen": top.seen, "processed": top.processed}
    seen = "".join(f" · {word} <code>{escape(sha[:8])}</code>" for word, sha in known.items() if sha)
    return (
        f'<div class="fb-top"><p class="fb-heart fb-{top.alive}"><span aria-hidden="true">{sign}</span> <b>{word}</b>'
        f'<span class="fb-dim"> {age} · {short(folder, 120)}{seen}</span></p>'
        f'<p class="fb-doing">{short(top.doing, 500)}</p>{_bar(top, now)}<ul class="fb-counts">{counts}</ul></div>'
    )


def _bar(top: Header, now: datetime) -> str:
    bar, line = top.bar, top.bar.line(now)
    if bar.whole is None:
        return f'<p class="fb-dim">{escape(line)}</p>'
    used, reserved = (100 * part / max(1, bar.whole) for part in (bar.used, bar.reserved))
    return (
        f'<div class="fb-allowance" role="img" aria-label="{escape(line)}">'
        f'<span class="fb-used" style="width:{used:.1f}%"></span>'
        f'<span class="fb-reserved" style="width:{reserved:.1f}%"></span></div><p class="fb-dim">{escape(line)}</p>'
    )


def when(moment: datetime | None, now: datetime) -> str:
    """Say when something will be: how long until then, and the time of day or the day."""
    if moment is None:
        return "-"
    far = (moment - now).total_seconds()
    local = moment.astimezone()
    return f"in {duration(max(1.0, far))}, {local:%H:%M}" if far < 72_000 else f"{local:%a %d %b, %H:%M}"


def queue_html(page: Page, now: datetime) -> str:
    """Write a page of the queue."""
    if not page.rows:
        return '<p class="fb-empty">No asset matches.</p>'
    head = "".join(
        f'<th scope="col"{kind}>{name}</th>'
        for name, kind in (
            ("Asset", ""), ("State", ""), ("Stage", ""), ("Estimated", ' class="fb-n"'), ("Spent", ' class="fb-n"'),
            ("Ready", ""), ("Tries", ' class="fb-n"'),
        )
    )  # fmt: skip
    body = "".join(_row(row, now) for row in page.rows)
    return (
        f'<table class="fb-queue"><caption class="fb-sr">Assets of the queue, page {page.number} of {page.pages}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _row(row: Row, now: datetime) -> str:
    facts = row.facts
    name = quote(row.asset)
    image = (
        f'<img src="files/{name}/thumbnail.webp" alt="" width="44" height="44" loading="lazy">'
        if facts.has_picture
        else '<span class="fb-noimage" aria-hidden="true"></span>'
    )
    warnings = f' <span class="fb-dim">{facts.warnings} warning{"s" * (facts.warnings > 1)}</span>' if facts.warnings else ""
    why = f'<span class="fb-why">{short(row.why)}</span>' if row.why else ""
    finish = when(row.finish, now) if row.state != "done" else made(facts.made)
    return (
        f'<tr data-row="{escape(row.asset)}" class="fb-row-{row.state}">'
        f'<th scope="row"><span class="fb-asset">{image}<span>{link(row.asset)}'
        f'<span class="fb-dim fb-kind">{escape(facts.kind)}{warnings}</span></span></span></th>'
        f'<td data-head="State">{badge(row.state)}{why}</td>'
        f'<td data-head="Stage">{progress(row)}</td>'
        f'<td data-head="Estimated" class="fb-n">{seconds(facts.estimated)}</td>'
        f'<td data-head="Spent" class="fb-n">{seconds(facts.spent)}</td>'
        f'<td data-head="Ready">{escape(finish)}</td><td data-head="Tries" class="fb-n">{facts.attempts or "-"}</td></tr>'
    )


def progress(row: Row) -> str:
    """Write which of the stages an asset is at, in words and as a bar."""
    if not row.facts.stages:
        return "-"
    words = f"{row.number} of {len(STAGES)} · {row.stage.replace('_', ' ')}" if row.state != "done" else "all stages"
    share = round(100 * row.fraction)
    return (
        f'<span class="fb-stage">{escape(words)}</span><span class="fb-bar" role="progressbar" aria-valuemin="0"'
        f' aria-valuemax="100" aria-valuenow="{share}" aria-label="{escape(row.asset)}">'
        f'<span style="width:{share}%"></span></span>'
    )


def seconds(value: float) -> str:
    """Say seconds the way people read them; a dash for none."""
    return duration(value) if value > 0 else "-"


def made(moment: float) -> str:
    """Say when a package was made."""
    return f"{datetime.fromtimestamp(moment).astimezone():%d %b %H:%M}" if moment > 1 else "made"


def pager_text(page: Page) -> str:
    """Say which page of how many is shown."""
    return f"{page.found} asset{'s' * (page.found != 1)}, page {page.number} of {page.pages}"


def part(name: str, html: str, **data: str) -> str:
    """Wrap a part of the page that is kept up to date by its name; `data` becomes data attributes."""
    more = "".join(f' data-{key}="{escape(value)}"' for key, value in data.items())
    return f'<div data-part="{name}"{more}>{html}</div>'


def table_html(rows: Sequence[str], names: Sequence[str], nothing: str, style: str = "fb-windows") -> str:
    """Write rows under their heads, or that there are none."""
    if not rows:
        return f'<p class="fb-empty">{nothing}</p>'
    head = "".join(
        f'<th scope="col"{" class=fb-n" if name in NUMBERS else ""}>{name}</th>' if name else "<td></td>" for name in names
    )
    return f'<table class="{style}"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
