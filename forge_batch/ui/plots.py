"""Draw the page's plots as SVG that follows the page's colours; each says in words what it shows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640.0, 250.0, 78.0, 40.0, 12.0, 58.0
BAND = 16.0
"""Height of the strip below the axis in which windows stand."""
STEPS = [timedelta(minutes=m) for m in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10_080)]

Span = tuple[datetime, datetime]


def _place(x: float, y: float) -> tuple[float, float]:
    """Give the pixel of a point of the unit square, y upwards."""
    return LEFT + x * (WIDTH - RIGHT - LEFT), HEIGHT - BOTTOM - y * (HEIGHT - BOTTOM - TOP)


def _frame(body: str, said: str, across: Sequence[tuple[float, str]], upwards: Sequence[tuple[float, str]]) -> str:
    """Put a drawing between its axes, with a thin line and words at each mark of the unit square."""
    marks = []
    for share, text in upwards:
        x, y = _place(0, share)
        marks.append(
            f'<path class="fb-grid" d="M{x:.1f} {y:.1f}H{WIDTH - RIGHT}"/>'
            f'<text x="{x - 8:.1f}" y="{y + 5:.1f}" text-anchor="end">{escape(text)}</text>'
        )
    for share, text in across:
        x, y = _place(share, 0)
        marks.append(
            f'<path class="fb-grid" d="M{x:.1f} {TOP}V{y:.1f}"/>'
            f'<text x="{x:.1f}" y="{HEIGHT - 10}" text-anchor="middle">{escape(text)}</text>'
        )
    return (
        f'<svg class="fb-plot" viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" role="img" aria-label="{escape(said)}">'
        f"{''.join(marks)}{body}</svg>"
    )


def _hours(first: datetime, last: datetime) -> Iterator[tuple[datetime, str]]:
    """Give round times between two moments, at most six, and what to call them."""
    step = next((one for one in STEPS if (last - first) / one <= 5), STEPS[-1])
    midnight = first.astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    moment = midnight + math.ceil((first - midnight) / step) * step
    while moment <= last:
        yield moment, f"{moment:%d %b}" if step >= timedelta(days=1) else f"{moment:%H:%M}"
        moment += step


def time_line(
    points: Sequence[tuple[datetime, float]],
    whole: float,
    past: Sequence[Span],
    planned: Sequence[Span],
    now: datetime,
    said: str,
) -> str:
    """Draw what was left over time as a line, and below it the windows that were and those to come.

    Args:
        points: In order; none where nobody counts.
        whole: The value at the top.
        past: Begin and end of each window.
        planned: The same of those to come.
        now: Where they part.
        said: What it shows, in words.
    """
    ends = [now, *(moment for span in (*past, *planned) for moment in span), *(moment for moment, _ in points)]
    first, last = min(ends), max(ends)
    edge = max(timedelta(minutes=5), last - first) / 40
    first, last = first - edge, last + edge

    def share(moment: datetime) -> float:
        return (moment - first) / (last - first)

    drawn = []
    for style, spans in (("fb-window", past), ("fb-planned", planned)):
        for begin, end in spans:
            (left, y), (right, _) = _place(share(begin), 0), _place(share(end), 0)
            drawn.append(
                f'<rect class="{style}" x="{left:.1f}" y="{y + 4:.1f}" width="{max(4.0, right - left):.1f}" height="{BAND}"/>'
            )
    if points:
        places = [_place(share(moment), min(1.0, value / max(whole, 1.0))) for moment, value in points]
        drawn.append(f'<path class="fb-line" d="M{"L".join(f"{x:.1f} {y:.1f}" for x, y in places)}"/>')
    x, y = _place(share(now), 0)
    drawn.append(f'<path class="fb-now" d="M{x:.1f} {TOP}V{y + BAND + 6:.1f}"/>')
    across = [(share(moment), text) for moment, text in _hours(first, last)]
    upwards = [(part, f"{part * whole:.0f} s") for part in (0.0, 0.5, 1.0)] if points else [(0.0, "")]
    return _frame("".join(drawn), said, across, upwards)


def calibration_plot(pairs: Sequence[tuple[float, float]], said: str) -> str:
    """Draw what tasks took (upwards) over what was foretold, both in seconds, on the same logarithmic scale from 0.1 s up.

    Args:
        pairs: Foretold p50 and actual seconds.
        said: What it shows, in words.
    """
    decades = max(1, math.ceil(math.log10(max([10.0, *(max(pair) for pair in pairs)])))) + 1

    def unit(value: float) -> float:
        return min(1.0, max(0.0, (math.log10(max(value, 0.1)) + 1) / decades))

    dots = "".join(
        '<circle class="fb-dot" r="4" cx="{:.1f}" cy="{:.1f}"/>'.format(*_place(unit(told), unit(took))) for told, took in pairs
    )
    (x0, y0), (x1, y1) = _place(0.0, 0.0), _place(1.0, 1.0)
    diagonal = f'<path class="fb-axis fb-dash" d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}"/>'
    marks = [(place / decades, f"{10 ** (place - 1):g} s") for place in range(decades + 1)]
    named = f'<text x="{x0 + 8}" y="{TOP + 12}">took</text><text x="{x1 - 8}" y="{y0 - 8}" text-anchor="end">foretold</text>'
    return _frame(diagonal + dots + named, said, marks, marks)
