"""Write a self-contained HTML document: reports that open anywhere, years later, without network or script."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

STATES = {"pass": "pass", "warn": "warn", "fail": "fail", "not_tested": "not tested"}

STYLE = """
:root { color-scheme: light dark; --line: #8884; --dim: #777; --pass: #1a7f37; --warn: #9a6700; --fail: #cf222e; }
@media (prefers-color-scheme: dark) { :root { --dim: #aaa; --pass: #4ac26b; --warn: #d4a72c; --fail: #ff7b72; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; margin: .5rem 0; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
img { max-width: 100%; height: auto; border-radius: .4rem; } .wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid var(--line); }
table { overflow-wrap: break-word; }
th { color: var(--dim); font-weight: 600; }
pre { overflow-x: auto; font-size: .85rem; padding: .6rem; border: 1px solid var(--line); }
.pass { color: var(--pass); } .warn { color: var(--warn); } .fail { color: var(--fail); } .not_tested { color: var(--dim); }
.state { font-weight: 600; white-space: nowrap; }
@media (max-width: 40rem) {
  .rows thead { display: none; }
  .rows tr { display: flex; flex-wrap: wrap; padding: .35rem 0; border-bottom: 1px solid var(--line); }
  .rows td { border: 0; padding: .1rem .8rem .1rem 0; }
  .rows td:first-child { font-weight: 600; }
  .rows td:nth-child(n+3) { flex-basis: 100%; }
  .rows td:nth-child(n+3)::before { content: attr(data-head) ": "; color: var(--dim); }
  .rows td:empty { display: none; }
}
"""


class Document:
    """Collect parts in order; everything given is text and is escaped here."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.parts: list[str] = []

    def heading(self, text: str) -> None:
        self.parts.append(f"<h2>{escape(text)}</h2>")

    def paragraph(self, text: str, state: str = "") -> None:
        """Add a sentence, coloured by a gate result if one is given."""
        self.parts.append(f'<p class="{state}">{escape(text)}</p>' if state in STATES else f"<p>{escape(text)}</p>")

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Add a table; a cell that is a gate result (pass, warn, fail, not_tested) is coloured and spelt out.

        On a phone a table of more than three columns becomes a list, each value below its column's name.
        """
        cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
        body = "".join("<tr>" + "".join(_cell(*pair) for pair in zip(row, head, strict=True)) + "</tr>" for row in rows)
        kind = ' class="rows"' if len(head) > 3 else ""
        self.parts.append(f'<div class="wide"><table{kind}><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>')

    def facts(self, rows: Sequence[tuple[str, str]]) -> None:
        """Add name and value pairs."""
        body = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
        self.parts.append(f'<div class="wide"><table><tbody>{body}</tbody></table></div>')

    def picture(self, png: bytes, text: str) -> None:
        """Add a PNG with the text that stands for it."""
        data = base64.b64encode(png).decode()
        self.parts.append(f'<p><img alt="{escape(text)}" src="data:image/png;base64,{data}"></p>')

    def log(self, text: str) -> None:
        """Add text as it is, line by line."""
        self.parts.append(f"<pre>{escape(text)}</pre>")

    def to_html(self) -> str:
        """Give the whole document."""
        title = escape(self.title)
        head = (
            f'<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>'
        )
        body = "\n".join([f"<h1>{title}</h1>", *self.parts])
        return f'<!doctype html>\n<html lang="en"><head>{head}<style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n'


def _cell(text: str, head: str) -> str:
    label = f'data-head="{escape(head)}"'
    if text in STATES:
        return f'<td class="state {text}" {label}>{STATES[text]}</td>'
    return f"<td {label}>{escape(text)}</td>"
