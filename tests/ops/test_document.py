from __future__ import annotations

from html.parser import HTMLParser

import numpy as np

from forge_batch.ops.document import Document
from forge_batch.ops.image_file import encode_png

HOSTILE = """</p><script>alert(1)</script><img src="http://host/x" onerror='a()'>&amp;"""


class Tags(HTMLParser):
    """Collect the elements, their attributes and the visible text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: dict[str, list[str]] = {}
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, []).append(value or "")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parsed(document: Document) -> Tags:
    """Read a document as a browser would."""
    tags = Tags()
    tags.feed(document.to_html())
    return tags


def everywhere(text: str) -> Document:
    """Put one text into every place that takes text."""
    document = Document(text)
    document.heading(text)
    document.paragraph(text, text)
    document.table([text], [[text]])
    document.facts([(text, text)])
    document.picture(encode_png(np.zeros((1, 1, 3), np.uint8)), text)
    document.log(text)
    return document


def test_hostile_text_stays_text_in_every_place() -> None:
    """Markup in a text makes no element and no attribute that harmless text does not make, and is shown as it was written."""
    hostile, plain = parsed(everywhere(HOSTILE)), parsed(everywhere("harmless"))
    assert hostile.tags == plain.tags
    assert hostile.attributes.keys() == plain.attributes.keys()
    assert hostile.text.count(HOSTILE) == 9  # title twice, heading, paragraph, head and cell, name and value, log
    assert hostile.attributes["alt"] == [HOSTILE]


def test_a_document_needs_no_network_and_runs_no_script() -> None:
    """There is no script and no link, and the only source of a picture is the document itself."""
    tags = parsed(everywhere("harmless"))
    assert not {"script", "link", "iframe", "object"} & set(tags.tags)
    assert all(source.startswith("data:image/png;base64,") for source in tags.attributes["src"])
    assert "url(" not in everywhere("harmless").to_html()
    assert "@import" not in everywhere("harmless").to_html()


def test_gate_results_are_told_by_word_as_well_as_by_colour() -> None:
    """Each result has a class of its own and its word beside it."""
    document = Document("gates")
    document.table(["result"], [["pass"], ["warn"], ["fail"], ["not_tested"]])
    tags = parsed(document)
    assert tags.attributes["class"][1:] == ["state pass", "state warn", "state fail", "state not_tested"]
    words = ["pass", "warn", "fail", "not tested"]
    assert [word for word in tags.text if word in words] == words
