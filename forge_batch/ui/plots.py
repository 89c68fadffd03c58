"""Draw the page's plots as SVG that follows the page's colours; each says in words what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape

WIDTH, HEIGHT, LEFT, BOTTOM = 640.0, 200.0, 44.0, 24.0


def _frame(body: str, said: str, top: str, low: str, left: str, right: str) -> str:
    """Put a drawing between its axes, with the words at their ends."""
    return (
        f'<svg class="fb-plot" viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" role="img" aria-label="{escape(said)}">'
        f'<path class="fb-axis" d="M{LEFT} 8V{HEIGHT - BOTTOM}H{WIDTH - 8}"/>{body}'
        f'<text x="{LEFT - 6}" y="16" text-anchor="end">{escape(top)}</text>'
        f'<text x="{LEFT - 6}" y="{HEIGHT - BOTTOM}" text-anchor="end">{escape(low)}</text>'
        f'<text x="{LEFT}" y="{HEIGHT - 6}">{escape(left)}</text>'
        f'<text x="{WIDTH - 8}" y="{HEIGHT - 6}" text-anchor="end">{escape(right)}</text></svg>'
    )


def _place(x: float, y: float) -> tuple[float, float]:
    """Give the pixel of a point of the unit square, y upwards."""
    return LEFT + x * (WIDTH - 8 - LEFT), HEIGHT - BOTTOM - y * (HEIGHT - BOTTOM - 8)


def line_plot(points: Sequence[tuple[datetime, float]], whole: float, said: str) -> str:
    """Draw a line over time.

    Args:
        points: In order; at least two.
        whole: The value at the top.
        said: What it shows, in words.
    """
    first, last = points[0][0], points[-1][0]
    span = max(1.0, (last - first).total_seconds())
    places = [_place((moment - first).total_seconds() / span, min(1.0, value / max(whole, 1.0))) for moment, value in points]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    left, right = (f"{moment.astimezone():%d %b %H:%M}" for moment in (first, last))
    return _frame(f'<path class="fb-line" d="{path}"/>', said, f"{whole:.0f} s", "0", left, right)


def calibration_plot(pairs: Sequence[tuple[float, float]], said: str) -> str:
    """Draw what tasks took over what was foretold, both in seconds, on the same logarithmic scale from 0.1 s up.

    Args:
        pairs: Foretold p50 and actual seconds.
        said: What it shows, in words.
    """
    from math import ceil, log10  # noqa: PLC0415 - beside its only use

    decades = max(1, ceil(log10(max([10.0, *(max(pair) for pair in pairs)])))) + 1

    def unit(value: float) -> float:
        return min(1.0, max(0.0, (log10(max(value, 0.1)) + 1) / decades))

    dots = "".join(
        '<circle class="fb-dot" r="3" cx="{:.1f}" cy="{:.1f}"/>'.format(*_place(unit(told), unit(took))) for told, took in pairs
    )
    (x0, y0), (x1, y1) = _place(0.0, 0.0), _place(1.0, 1.0)
    diagonal = f'<path class="fb-axis fb-dash" d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}"/>'
    most = f"{10 ** (decades - 1):g} s"
    return _frame(diagonal + dots, said, most, "0.1 s", "foretold 0.1 s", most)
