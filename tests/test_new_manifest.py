from __future__ import annotations

import shutil
from pathlib import Path
from typing import get_args

import pytest

from forge_batch.cli import main
from forge_batch.commands.author import KINDS
from forge_batch.content.scaffold import init
from forge_batch.errors import ContentError, ManifestError
from forge_batch.manifest import load_manifest
from forge_batch.manifest_model import Manifest
from forge_batch.new_manifest import PRESETS, new_asset
from forge_batch.views_by_name import pictures_of, views_by_name
from tests.fakes import picture

INBOX = Path(__file__).parents[1] / "inbox"


@pytest.fixture
def content(tmp_path: Path) -> Path:
    """Give a content folder as `init` makes it."""
    init(tmp_path / "game")
    return tmp_path / "game"


def new(content: Path, asset: str, *pictures: Path, height: float = 60, kind: str = "prop", named: tuple[str, ...] = ()) -> str:
    """Make an asset; give the text of its manifest."""
    return new_asset(content, asset, pictures, kind=kind, height_cm=height, named=named).manifest.read_text()


@pytest.mark.parametrize(
    ("names", "views"),
    [
        (["crate_front.png"], ["front"]),
        (["IMG 2041.png"], ["front"]),
        (["Crate-FRONT.png", "Crate-Rear.jpg"], ["front", "back"]),
        (["chairLeft.png", "chairFront.png"], ["front", "left"]),
        (["a_f.png", "a_r.png", "a_b.png", "a_l.png"], ["front", "right", "back", "left"]),
        (["turn_000.png", "turn_090.png", "turn_180.png", "turn_270.png"], ["front", "right", "back", "left"]),
        (["front 2.png", "left (1).webp"], ["front", "left"]),
    ],
)
def test_views_are_told_from_names(names: list[str], views: list[str]) -> None:
    """Words, letters at the end and turntable degrees say the view; a picture by itself is the front."""
    assert list(views_by_name([Path(name) for name in names])) == views


@pytest.mark.parametrize(
    ("names", "named", "message"),
    [
        (["a1.png", "a2.png"], (), "the name of a1.png does not say"),
        (["a_front.png", "x.png"], (), "the name of x.png does not say"),
        (["front.png", "front.jpg"], (), "both seem to show the front"),
        (["a_left.png"], (), "no front view"),
        (["a_090.png", "a_180.png"], (), "no front view"),
        (["IMG_90.png", "IMG_91.png"], (), "the name of IMG_90.png does not say"),
        ([f"{n}.png" for n in range(5)], (), "found 5 pictures"),
        (["a.png"], ("top",), '"top" is not a view'),
        (["a.png"], ("front", "back"), "2 views are named for 1 pictures"),
    ],
)
def test_a_view_that_cannot_be_told_is_asked_for(names: list[str], named: tuple[str, ...], message: str) -> None:
    """Nothing is guessed that could swap sides in silence."""
    with pytest.raises(ContentError, match=message):
        views_by_name([Path(name) for name in names], named)


def test_the_order_of_views_can_be_said() -> None:
    """--views wins over names."""
    paths = [Path("x_left.png"), Path("y.png")]
    assert views_by_name(paths, ("front", "back")) == {"front": paths[0], "back": paths[1]}


def test_a_new_asset_is_sound_and_its_pictures_lie_in_the_inbox(content: Path) -> None:
    """Pictures are copied under their views' names with their licence and cameras, and the manifest loads without a warning."""
    text = new(content, "my_crate", INBOX / "ammo_crate", height=32)
    assert sorted(path.name for path in (content / "inbox" / "my_crate").iterdir()) == [
        "LICENSE.txt", "back.png", "camera.json", "front.png", "left.png", "right.png",
    ]  # fmt: skip
    manifest = load_manifest(content / "manifests" / "my_crate.yaml", content)
    assert manifest.warnings == ()
    assert manifest.resolved()["place"]["height_cm"] == 32
    assert text.startswith("# yaml-language-server: $schema=./manifest.schema.json\n")
    assert (content / "manifests" / "manifest.schema.json").is_file()
    assert "symmetrize: bilateral_x" in text


@pytest.mark.parametrize("kind", KINDS)
def test_the_preset_follows_from_the_kind(kind: str, content: Path) -> None:
    """Each kind begins with a preset of its own kind."""
    text = new(content, "thing", picture(content / "front.png"), kind=kind)
    assert f"preset: {PRESETS[kind]}\nkind: {kind}\n" in text
    assert load_manifest(content / "manifests" / "thing.yaml", content).kind == kind


def test_the_kinds_are_the_manifests() -> None:
    """The command line's copy of the words is the manifest's list."""
    assert get_args(Manifest.model_fields["kind"].annotation) == KINDS


def test_values_are_guessed_from_the_pictures(content: Path) -> None:
    """Small pictures get a small texture, an opaque one a note on its background, a missing view a warning in words."""
    text = new(content, "thing", picture(content / "front.png", (256, 256), "RGB"))
    assert "texture_size: 512 " in text
    assert "# front: no transparency, so rembg cuts the object out.\nremove_background: {method: auto}\n" in text
    assert "# Not shown: right, back, left;" in text


def test_pictures_in_the_inbox_stay_where_they_are(content: Path) -> None:
    """What lies below inbox/ already is named, not copied."""
    shutil.copytree(INBOX / "mailbox", content / "inbox" / "post")
    picture(content / "inbox" / "post" / "Old Front.png", (1024, 1024))
    assert "\nimages: post " in new(content, "box", content / "inbox" / "post")
    text = new(content, "other", content / "inbox" / "post" / "Old Front.png", content / "inbox" / "post" / "back.png")
    assert "\n  front: post/Old Front.png\n  back: post/back.png\n" in text
    assert sorted(path.name for path in (content / "inbox").iterdir()) == [".gitkeep", "post"]


def test_nothing_is_overwritten(content: Path) -> None:
    """A manifest or an image set of that name is left alone, and nothing else is left behind."""
    source = picture(content / "front.png")
    new(content, "thing", source)
    before = (content / "manifests" / "thing.yaml").read_bytes()
    with pytest.raises(ContentError, match=r"thing\.yaml exists"):
        new(content, "thing", source)
    assert (content / "manifests" / "thing.yaml").read_bytes() == before
    (content / "inbox" / "lamp").mkdir()
    with pytest.raises(ContentError, match="lamp exists"):
        new(content, "lamp", source)
    assert not (content / "manifests" / "lamp.yaml").exists()


def test_a_picture_that_cannot_be_used_is_refused_before_anything_is_written(content: Path) -> None:
    """A bad picture leaves neither a manifest nor a folder."""
    with pytest.raises(ManifestError, match="CMYK"):
        new(content, "thing", picture(content / "front.jpg", mode="CMYK"))
    assert list((content / "inbox").iterdir()) == [content / "inbox" / ".gitkeep"]
    assert not (content / "manifests" / "thing.yaml").exists()


def test_of_a_folder_the_files_called_after_views_are_taken(tmp_path: Path) -> None:
    """Other pictures beside them are other things."""
    for name in ("front.png", "left.png", "sketch.png"):
        picture(tmp_path / name)
    assert [path.name for path in pictures_of([tmp_path], (".png",))] == ["front.png", "left.png"]


def test_the_command_makes_checks_and_says_what_is_missing(content: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`new` prints which picture is which view and what validate says; without a height it exits with 2."""
    source = str(picture(content / "chair_front.png", (600, 600)))
    assert main(["new", "chair", source, "--height-cm", "92", "--content", str(content)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"made {content}/manifests/chair.yaml (front: chair_front.png)"
    assert out[-1].startswith("1 manifest: ")
    assert main(["new", "stool", source, "--content", str(content)]) == 2
    assert "--height-cm" in capsys.readouterr().err
    assert main(["new", "My Stool", source, "--height-cm", "40", "--content", str(content)]) == 1
    assert "write my_stool" in capsys.readouterr().err
