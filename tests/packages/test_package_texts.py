from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from forge_batch.packages.licences import licences_text, may_sell
from forge_batch.packages.names import package_name, pascal
from forge_batch.packages.zip_file import write_zip

FREE = {"backend": "hull", "revision": "1", "licence": "MIT", "commercial": True, "territory": "worldwide", "seed": 3}
BOUND = {**FREE, "backend": "other", "commercial": False, "territory": "not in the EU, the UK and South Korea"}


@pytest.mark.parametrize(
    ("asset", "expected"), [("wood_barrel", "WoodBarrel"), ("crate", "Crate"), ("crate_02", "Crate02"), ("a_b_c", "ABC")]
)
def test_names_are_pascal_case(asset: str, expected: str) -> None:
    """Words of an asset's name are joined with capitals, digits stay where they are."""
    assert pascal(asset) == expected
    assert package_name(asset, "ue5") == f"export_{expected}_UE5.zip"


def test_one_sentence_says_whether_and_where_it_may_be_sold() -> None:
    """A commercial licence says so, another one forbids it, and the territory's exclusion is repeated word for word."""
    assert "may be sold" in may_sell(FREE)
    assert "worldwide" in may_sell(FREE)
    assert "must not be sold" in may_sell(BOUND)
    assert "not in the EU, the UK and South Korea" in may_sell(BOUND)


def test_licences_name_all_that_took_part_and_quote_the_images_licence() -> None:
    """Generator, seed, how each view was cut out, the matting model with its licence, our own, and the images' own text."""
    cutouts = {"methods": {"front": "rembg", "back": "alpha"}, "model": {"name": "u2netp", "licence": "Apache-2.0"}}
    text = licences_text("crate", FREE, cutouts, "Author: Somebody\nLicence: CC0 1.0\n")
    for words in ("hull (1), MIT, worldwide", "back: alpha, front: rembg", "u2netp, Apache-2.0", "forge_batch, MIT"):
        assert words in text
    assert text.endswith("Author: Somebody\nLicence: CC0 1.0\n")


def test_licences_say_when_the_images_have_none() -> None:
    """No licence beside the images is said in words, and no matting model is made up."""
    text = licences_text("crate", FREE, {"methods": {"front": "alpha"}, "model": None}, None)
    assert "No LICENSE.txt lies beside the images" in text
    assert "Matting model" not in text


def test_licences_say_where_a_rasteriser_for_research_took_part() -> None:
    """The line stands there only where a bake used it."""
    cutouts = {"methods": {"front": "alpha"}, "model": None}
    assert "research and evaluation only (bake_normal)" in licences_text("crate", FREE, cutouts, None, bakes=["bake_normal"])
    assert "nvdiffrast" not in licences_text("crate", FREE, cutouts, None)


def test_a_zip_depends_on_its_content_alone(tmp_path: Path) -> None:
    """The order files come in and the time do not matter; names are sorted and dates are 1980-01-01."""
    files = {"b.txt": b"two" * 100, "a.png": b"one" * 100}
    write_zip(tmp_path / "1.zip", files)
    write_zip(tmp_path / "2.zip", dict(reversed(files.items())))
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "1.zip") as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == files
        assert [(entry.filename, entry.date_time[:3], entry.compress_type) for entry in archive.infolist()] == [
            ("a.png", (1980, 1, 1), zipfile.ZIP_STORED),
            ("b.txt", (1980, 1, 1), zipfile.ZIP_DEFLATED),
        ]
