"""Write an asset's view, the history and the windows as HTML. Everything that comes from outside is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from html import escape
from typing import Any
from urllib.parse import quote

from forge_batch.asset_view import Detail, GateRow, StageRow, gates_in, rows_of
from forge_batch.queue_view import Row
from forge_batch.ui.markup import badge, link, made, seconds, short, table_html, when

RESULTS = {"pass": "✓", "warn": "!", "fail": "✕", "not_tested": "-"}


def asset_head_html(one: Detail, row: Row, now: datetime, repo: str) -> str:
    """Write how an asset stands and what can be taken home."""
    told = "quality gate" in row.why and any(gate.result == "fail" for gate in one.gates)  # the cards below say it better
    why = f'<p class="fb-said">{short(row.why, 4000)}</p>' if row.why and not told else ""
    facts = row.facts
    finish = "" if row.state in {"done", "failed", "held"} else f" · done {when(row.finish, now)}"
    packages = _downloads(one.asset, one.packages)
    if packages and row.state != "done":
        packages = f'<p class="fb-dim">What the last build that went well left:</p>{packages}'
    if one.rejected:
        packages += (
            '<div class="fb-warning" role="note"><p><b><span aria-hidden="true">✕</span> Not fit to ship.</b> A quality gate '
            "refused this package; it is kept so that you can look at it and decide. What failed stands below.</p>"
            f"{_downloads(one.asset, one.rejected, 'Download all the same: ')}</div>"
        )
    verdict = f"<p>{RESULTS[one.worst]} {escape(one.verdict)}</p>" if one.gates else ""
    report = f'<a data-key="report" href="files/{quote(one.asset)}/report.html">report</a>' if one.report else ""
    commit = f"made from {_commit(one.commit, repo)}" if one.commit else ""
    line = " · ".join(part for part in (commit, report) if part)
    gpu = f" ({seconds(facts.gpu_spent)} GPU)" if facts.gpu_spent else ""
    return (
        f'<div class="fb-head"><div><h2 class="fb-title">{escape(one.asset)} {badge(row.state)}</h2>'
        f'<p class="fb-dim">{escape(facts.kind)} · priority {facts.priority} · estimated {seconds(facts.estimated)} · '
        f"spent {seconds(facts.spent)}{gpu} · tries {facts.attempts}{escape(finish)}</p>"
        f"{why}{verdict}<p>{line}</p>{packages}</div>{_glance(one, row)}</div>{faults_html(one)}"
    )


def _glance(one: Detail, row: Row) -> str:
    """Show the result, or as long as there is none what it is made from."""
    name = quote(one.asset)
    if one.preview:
        small = f"files/{name}/preview.webp?{row.facts.made:.0f}"
        return (
            f'<a class="fb-glance" data-key="glance" href="files/{name}/{quote(one.preview)}"><img src="{small}" '
            f'alt="{escape(one.asset)}: input beside renders of the result"></a>'
        )
    view = next(iter([view for view in ("front", *one.views) if view in one.views]), "")
    return f'<span class="fb-glance"><img src="files/{name}/input-{view}.webp" alt="input, {view}"></span>' if view else ""


def _downloads(asset: str, packages: Sequence[tuple[str, str]], word: str = "Download ") -> str:
    links = "".join(
        f'<a class="fb-button" data-key="p-{escape(name)}" href="files/{quote(asset)}/{quote(name)}" download>'
        f"{word}{escape(name)} ({escape(bytes_)})</a>"
        for name, bytes_ in packages
    )
    return f'<div class="fb-buttons">{links}</div>' if links else ""


def faults_html(one: Detail) -> str:
    """Write what failed, each with its figures, its picture and what to change; warnings that have a picture stand folded."""
    failed = [_fault(one.asset, gate) for gate in one.gates if gate.result == "fail"]
    warned = [_fault(one.asset, gate) for gate in one.gates if gate.result != "fail" and gate.picture]
    parts = []
    if failed:
        parts.append(f'<h3>What failed</h3><ul class="fb-faults">{"".join(failed)}</ul>')
    if warned:
        words = "1 warning, with its picture" if len(warned) == 1 else f"{len(warned)} warnings, with their pictures"
        parts.append(
            f'<details><summary data-key="warned">{words}</summary><ul class="fb-faults">{"".join(warned)}</ul></details>'
        )
    return "".join(parts)


def _fault(asset: str, gate: GateRow) -> str:
    picture = f"files/{quote(asset)}/{quote(gate.picture)}"
    image = (
        f'<a href="{picture}" data-key="f-{escape(gate.picture)}"><img src="{picture}" loading="lazy" '
        f'alt="where {escape(gate.name)} goes wrong"></a>'
        if gate.picture
        else ""
    )
    advice = f"<p><b>What to change:</b> {escape(gate.advice)}.</p>" if gate.advice else ""
    return (
        f'<li class="fb-fault"><div><h4>{_result(gate.result)} {escape(gate.name)}</h4>'
        f"<p><b>{escape(gate.value)}</b> measured; the limit is {escape(gate.limit)}.</p>"
        f'<p class="fb-dim">{escape(gate.note)}</p>{advice}</div>{image}</li>'
    )


def _result(result: str) -> str:
    return (
        f'<span class="fb-result fb-{escape(result)}"><span aria-hidden="true">{RESULTS.get(result, "")}</span> '
        f"{escape(result.replace('_', ' '))}</span>"
    )


def _commit(commit: str, repo: str) -> str:
    code = f"<code>{escape(commit[:12])}</code>"
    if repo and len(commit) == 40:
        return f'commit <a href="https://huggingface.co/datasets/{quote(repo)}/tree/{quote(commit)}">{code}</a>'
    return f"version {code} of the folder"


def timeline_html(stages: Sequence[StageRow], folded: bool = False) -> str:
    """Write what ran and runs, and how long it took beside what was foretold; folded to a line where nothing moves."""
    if not stages:
        return ""
    longest = max([*(one.seconds or 0.0 for one in stages), 0.1])
    rows = []
    for one in stages:
        expected = f"{one.expected[0]:.1f} / {one.expected[1]:.1f} s" if one.expected else "-"
        took = f"{one.seconds:.1f} s" if one.seconds is not None else "-"
        width = 100 * (one.seconds or 0.0) / longest
        note = f'<span class="fb-why">{short(one.note, 600)}</span>' if one.note else ""
        sign = {"done": "✓", "failed": "✕", "at work": "▶"}.get(one.state, "…")
        rows.append(
            f'<tr><th scope="row">{one.number}. {escape(one.name.replace("_", " "))}</th>'
            f'<td data-head="State"><span aria-hidden="true">{sign}</span> {escape(one.state)}{note}</td>'
            f'<td data-head="Took" class="fb-n">{took}</td><td data-head="Foretold" class="fb-n">{expected}</td>'
            f'<td class="fb-took" aria-hidden="true"><span style="width:{width:.1f}%"></span></td></tr>'
        )
    heads = ("Stage", "State", "Took", "Foretold, half / nine of ten", "")
    table = table_html(rows, heads, "", "fb-stages")
    whole = sum(one.seconds or 0.0 for one in stages)
    number = sum(one.state == "done" for one in stages)
    line = f"{number} of {len(stages)} stages done in {seconds(whole)}"
    if folded:
        return f'<details><summary data-key="stages">{line}</summary>{table}</details>'
    return f'<h3>Stages</h3><p class="fb-dim">{line}</p>{table}'


def asset_rest_html(one: Detail, textured: bool) -> str:
    """Write what changes rarely: what validate said, gates, pictures, the manifest, the log."""
    parts = []
    if one.problems:
        parts.append(
            f'<h3>What validate says</h3><pre tabindex="0" class="fb-pre" aria-label="problems">{escape(one.problems)}</pre>'
        )
    if one.gates:
        passed = [gate for gate in one.gates if gate.result == "pass"]
        others = [gate for gate in one.gates if gate.result != "pass"]
        parts.append(f"<h3>Quality gates</h3>{gates_html(others) if others else ''}")
        if passed:
            parts.append(
                f'<details><summary data-key="passed">{len(passed)} passed, with what was measured</summary>'
                f"{gates_html(passed)}</details>"
            )
    parts.append(_pictures(one, textured))
    if one.manifest:
        parts.append(
            f'<details><summary data-key="manifest">The resolved manifest ({escape(one.manifest_file)})</summary>'
            f'<pre tabindex="0" class="fb-pre" aria-label="manifest">{escape(one.manifest)}</pre></details>'
        )
    return "".join(parts)


def log_html(log: str) -> str:
    """Write the end of an asset's log."""
    if not log:
        return ""
    return (
        '<details><summary data-key="log">End of the log</summary>'
        f'<pre tabindex="0" class="fb-pre" aria-label="log">{escape(log)}</pre></details>'
    )


def gates_html(gates: Iterable[GateRow]) -> str:
    """Write gates, failures first, each with what was measured and its limit."""
    rows = [
        f'<tr class="fb-{escape(gate.result)}"><th scope="row">{escape(gate.name)}</th>'
        f'<td data-head="Result">{_result(gate.result)}</td><td data-head="Measured" class="fb-n">{escape(gate.value)}</td>'
        f'<td data-head="Limit" class="fb-n">{escape(gate.limit)}</td><td data-head="Means">{escape(gate.note)}</td></tr>'
        for gate in gates
    ]
    return table_html(rows, ("Gate", "Result", "Measured", "Limit", "What it means"), "", "fb-gates")


def _pictures(one: Detail, textured: bool) -> str:
    name = quote(one.asset)
    inputs = "".join(_figure(f"files/{name}/input-{view}.webp", f"input, {view}") for view in one.views)
    textures = "".join(
        _figure(f"files/{name}/texture-{kind}.webp", text)
        for kind, text in (("base_color", "base colour"), ("normal", "normal map"), ("orm", "occlusion, roughness, metallic"))
    )
    return (f'<h3>Input</h3><div class="fb-figures">{inputs}</div>' if inputs else "") + (
        f'<h3>Textures</h3><div class="fb-figures">{textures}</div>' if textured else ""
    )


def _figure(source: str, text: str, wide: bool = False) -> str:
    kind = "fb-figure fb-wide" if wide else "fb-figure"
    image = f'<img src="{source}" alt="{escape(text)}" loading="lazy">'
    return f'<figure class="{kind}">{image}<figcaption>{escape(text)}</figcaption></figure>'


def build_html(asset: str, build: Mapping[str, Any] | None) -> str:
    """Write one build of an asset: its picture, from which commit, and its gates."""
    if build is None:
        return ""
    at = build_time(str(build["name"]))
    picture = _figure(f"files/{quote(asset)}/build-{quote(str(build['name']))}.webp", f"{asset}, {at}", wide=True)
    gpu = f", {seconds(float(build['gpu_seconds']))} of it GPU" if build["gpu_seconds"] else ""
    gates = [replace(gate, note="") for gate in rows_of(gates_in(build)) if gate.result != "pass"]
    return (
        f"{picture if build['picture'] else ''}<p><b>{escape(at)}</b> · version "
        f"<code>{escape(str(build['commit'])[:12])}</code> · {seconds(float(build['seconds']))}{gpu}</p>"
        f"<p>{RESULTS.get(str(build['worst']), '')} {escape(str(build['verdict']))}</p>{gates_html(gates) if gates else ''}"
    )


def build_time(name: str) -> str:
    """Say when a build was made, by its name."""
    try:
        return f"{datetime.strptime(name, '%Y%m%dT%H%M%S%z').astimezone():%d %b %Y, %H:%M:%S}"
    except ValueError:
        return name


def history_html(rows: Sequence[Row]) -> str:
    """Write finished assets as cards, in the order given."""
    if not rows:
        return '<p class="fb-empty">Nothing is finished yet.</p>'
    cards = "".join(
        f'<li class="fb-card"><img src="files/{quote(row.asset)}/preview.webp?{row.facts.made:.0f}" alt="" loading="lazy">'
        f'<span>{link(row.asset)}</span><span class="fb-dim">{escape(made(row.facts.made))} · '
        f"{seconds(row.facts.spent)}</span></li>"
        for row in rows
    )
    return f'<ul class="fb-cards">{cards}</ul>'
