"""Write the GPU windows and what the machine is as HTML. Everything that comes from outside is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from html import escape
from typing import Any

from forge_batch.doctor import Check
from forge_batch.header_view import burn_down
from forge_batch.plain_text import duration
from forge_batch.queue_view import Queue
from forge_batch.quota import DAY
from forge_batch.ui.markup import link, short, table_html
from forge_batch.ui.plots import calibration_plot, time_line

SHOWN = 60
"""Rows of a table."""


def windows_html(past: Sequence[Mapping[str, Any]], queue: Queue, pairs: Sequence[tuple[float, float]], now: datetime) -> str:
    """Write the GPU windows: the allowance over the last day with the windows below it, tables, how well seconds were foretold.

    Args:
        past: The windows so far, newest first.
        queue: What is left, and the windows to come.
        pairs: Of finished tasks, the seconds foretold and taken.
        now: With a zone.
    """
    parts = [_time_line(past, queue, now), tables_html(past, queue)]
    if pairs:
        near = sum(took <= 1.3 * told for told, took in pairs)
        said = f"{len(pairs)} stages: {near} took at most 1.3 times what was foretold as their median"
        parts.append(f"<h3>Foretold and taken</h3>{calibration_plot(pairs, said)}<p>{escape(said)}.</p>")
    return "".join(parts)


def _time_line(past: Sequence[Mapping[str, Any]], queue: Queue, now: datetime) -> str:
    """Draw the last day and what is planned of the next, from the first thing that happened on."""
    spans = [(one["from"], one["to"]) for one in reversed(past) if one["to"] > now - DAY]
    planned = [(one.opens, one.opens + timedelta(seconds=one.seconds)) for one in queue.planned if one.opens < now + DAY]
    points = burn_down(queue, now)
    if not spans and not planned and len(points) <= 2:  # nothing was spent
        points = []
    begins = min([begin for begin, _ in spans] + [moment for moment, _ in points[1:]], default=now)
    points = [(max(moment, begins), left) for moment, left in points]
    if not spans and not planned and not points:
        return ""
    left = f"{queue.left.seconds} of {queue.left.whole} s of the allowance are left; " if points else ""
    said = f"{left}{_count(len(spans), 'window')} in the last day, {_count(len(planned), 'window')} planned for the next"
    key = (
        '<span class="fb-key fb-window" aria-hidden="true"></span> window <span class="fb-key fb-planned" aria-hidden="true">'
        "</span> planned window"
    )
    plot = time_line(points, float(queue.left.whole or 1), spans, planned, now, said)
    return f'<h3>Allowance and windows</h3>{plot}<p>{escape(said)}.</p><p class="fb-dim">{key}</p>'


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def tables_html(past: Sequence[Mapping[str, Any]], queue: Queue) -> str:
    """Write the GPU windows that were and those to come, with what is in them, and what waits for another day."""
    rows = []
    for one in past[:SHOWN]:
        took = (one["to"] - one["from"]).total_seconds()
        told = sum(task["expected"][0] for task in one["packed"] if task["expected"])
        used = sum(task["seconds"] for task in one["packed"])
        names = _packed((task["asset"], task["stage"]) for task in one["packed"])
        rows.append(
            f'<tr><th scope="row">{one["from"].astimezone():%d %b %H:%M}</th>'
            f'<td data-head="Open" class="fb-n">{duration(took)}</td>'
            f'<td data-head="Foretold" class="fb-n">{told:.0f} s</td><td data-head="Worked" class="fb-n">{used:.0f} s</td>'
            f'<td data-head="Packed">{short(names or "nothing was finished", 400)}</td></tr>'
        )
    planned = [
        f'<tr><th scope="row">{one.opens.astimezone():%d %b %H:%M}</th>'
        f'<td data-head="Foretold" class="fb-n">{duration(one.seconds)}</td>'
        f'<td data-head="Packed">{short(_packed(one.tasks), 400)}</td></tr>'
        for one in queue.planned
    ]
    turns = sorted(queue.turns.items(), key=lambda turn: turn[1])[:SHOWN]
    waits = "".join(f"<li>{link(name)}: {escape(day)}</li>" for name, day in turns)
    parts = {
        "Windows so far": table_html(rows, ("Began", "Open", "Foretold", "Worked", "Packed"), "No GPU window was opened yet."),
        "Windows to come": table_html(planned, ("Not before", "Foretold", "Packed"), "No GPU work waits for a window."),
        "Waits for another day": f"<ul>{waits}</ul>" if waits else '<p class="fb-empty">Nothing waits for another day.</p>',
    }
    return "".join(f"<h3>{title}</h3>{part}" for title, part in parts.items())


def _packed(tasks: Iterable[tuple[str, str]]) -> str:
    stages: dict[str, list[str]] = {}
    for asset, stage in tasks:
        stages.setdefault(asset, []).append(stage.replace("_", " "))
    return "; ".join(f"{asset}: {', '.join(dict.fromkeys(names))}" for asset, names in stages.items())


def checks_html(checks: Sequence[Check]) -> str:
    """Write what was found on the machine."""
    signs = {"works": ("✓", "pass"), "missing": ("-", "not_tested"), "broken": ("✕", "fail")}
    rows = [
        f'<tr><th scope="row">{escape(check.name)}</th>'
        f'<td data-head="State"><span class="fb-result fb-{signs[check.state][1]}">'
        f'<span aria-hidden="true">{signs[check.state][0]}</span> {escape(check.state)}</span></td>'
        f'<td data-head="Found">{escape(check.found)}</td>'
        f'<td data-head="What mends it">{f"<code>{escape(check.command)}</code>" if check.command else ""}</td></tr>'
        for check in checks
    ]
    return table_html(rows, ("What", "State", "Found", "What mends it"), "Nothing was looked at.", "fb-gates")
