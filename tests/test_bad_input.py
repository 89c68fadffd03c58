"""Give the product everything that people and tools get wrong; each must cost one clear line and no other asset."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from forge_batch.cli import main
from forge_batch.content.local import LocalContent
from forge_batch.runner import run
from tests.fakes import LEAST, FakeExecutor, Recorder, content_folder, fill, picture, small_disk

ROOT = Path(__file__).parent.parent
VIEWS = ("front", "right", "back", "left")
FIVE = "images: {front: a.png, right: b.png, back: c.png, left: d.png, top: e.png}\n"
Break = Callable[[Path, Path], object]
"""Turn a sound manifest and its image folder into bad ones."""


@dataclass(frozen=True)
class Bad:
    """Be one way to go wrong: what is done, words that the line must hold, and the line of the manifest (0: none)."""

    name: str
    harm: Break
    words: tuple[str, ...]
    line: int = 0


def text(lines: str) -> Break:
    """Append lines to the manifest."""
    return lambda manifest, _: manifest.write_text(LEAST + lines)


def image(mode: str, suffix: str = ".png", size: tuple[int, int] = (64, 64), **options: object) -> Break:
    """Put another picture in the place of the front view."""

    def harm(_: Path, folder: Path) -> None:
        (folder / "front.png").unlink()
        picture(folder / f"front{suffix}", size, mode, **options)

    return harm


def anchor_bomb(manifest: Path, _: Path) -> None:
    """Write a few hundred bytes that stand for 10^9 words."""
    rows = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    rows += [f"a{i}: &a{i} [" + ", ".join([f"*a{i - 1}"] * 10) + "]" for i in range(1, 9)]
    manifest.write_text(LEAST + "\n".join(rows) + "\n")


def symlink(_: Path, folder: Path) -> None:
    """Let the front view be a link to a picture outside the content folder."""
    outside = picture(folder.parent.parent.parent / "outside.png")
    (folder / "front.png").unlink()
    (folder / "front.png").symlink_to(outside)


def folder_link(_: Path, folder: Path) -> None:
    """Let the whole image folder be a link out of the content folder."""
    outside = picture(folder.parent.parent.parent / "outside" / "front.png").parent
    (folder / "front.png").unlink()
    folder.rmdir()
    folder.symlink_to(outside)


def missing(_: Path, folder: Path) -> None:
    """Take the images away."""
    (folder / "front.png").unlink()
    folder.rmdir()


def five_files(_: Path, folder: Path) -> None:
    """Add a fifth picture."""
    for view in (*VIEWS, "top"):
        picture(folder / f"{view}.png")


def truncated(_: Path, folder: Path) -> None:
    """Cut a picture of noise in the middle."""
    path = folder / "front.png"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def pixel_bomb(_: Path, folder: Path) -> None:
    """Write a PNG of a few bytes that claims 30,000 x 30,000 pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 6, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100_000))) + chunk(b"IEND", b"")
    (folder / "front.png").write_bytes(data)


def turned(_: Path, folder: Path) -> None:
    """Save a JPEG whose EXIF tag turns it by a quarter."""
    (folder / "front.png").unlink()
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(folder / "front.jpg", mode="RGB", exif=exif)


def deep(_: Path, folder: Path) -> None:
    """Save 16 bits a channel."""
    rows = b"".join(b"\0" + bytes(64 * 6) for _ in range(64))

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 64, 64, 16, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (folder / "front.png").write_bytes(data)


def animated(suffix: str) -> Break:
    """Save two frames."""

    def harm(_: Path, folder: Path) -> None:
        (folder / "front.png").unlink()
        frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
        frames[0].save(folder / f"front{suffix}", save_all=True, append_images=frames[1:])

    return harm


def unequal(_: Path, folder: Path) -> None:
    """Add a view of another size."""
    picture(folder / "right.png", (512, 640))


def gif_in_disguise(_: Path, folder: Path) -> None:
    """Call a GIF front.png."""
    Image.new("P", (64, 64)).save(folder / "front.png", format="GIF")


CASES = (
    Bad("unknown key", text("decimat: {triangles: 7}\n"), ("decimat", "decimate"), 3),
    Bad("unknown key of a stage", text("decimate: {triangels: 7}\n"), ("triangels", "triangles"), 3),
    Bad("wrong type", text("decimate: {triangles: many}\n"), ("many",), 3),
    Bad("out of range", text("seed: -1\n"), ("seed", "-1"), 3),
    Bad("images in a folder above", text("images: ../bad\n"), ("../bad", ".."), 3),
    Bad("image in a folder above", text("images: {front: ../../etc/front.png}\n"), ("..",), 3),
    Bad("absolute path", text("images: /etc/pictures\n"), ("absolute",), 3),
    Bad("link to a picture outside", symlink, ("link that leaves inbox/",)),
    Bad("link to a folder outside", folder_link, ("link that leaves inbox/",)),
    Bad("anchor bomb", anchor_bomb, ("anchor",), 3),
    Bad("python tag", text("notes: !!python/object/apply:os.system [echo]\n"), ("tag",), 3),
    Bad("missing images", missing, ("there is no folder inbox/bad",)),
    Bad("five files", five_files, ("top.png", "no view")),
    Bad(
        "five views",
        text("images: {front: a.png, right: b.png, back: c.png, left: d.png, top: e.png}\n"),
        ("5 images, at most 4",),
        3,
    ),
    Bad("1 x 1 pixel", image("RGB", size=(1, 1)), ("1 x 1 pixels",)),
    Bad("truncated PNG", truncated, ("front.png", "ends early or is damaged")),
    Bad("30,000 x 30,000 pixels", pixel_bomb, ("30000 x 30000 pixels",)),
    Bad("CMYK", image("CMYK", ".jpg"), ("CMYK", "sRGB")),
    Bad("turned by EXIF", turned, ("EXIF", "upright")),
    Bad("16 bits", deep, ("16-bit", "8 bits")),
    Bad("grayscale", image("L"), ("grayscale", "RGB")),
    Bad("animated PNG", animated(".png"), ("animated PNG", "one frame")),
    Bad("animated WebP", animated(".webp"), ("animated WebP", "one frame")),
    Bad("GIF called PNG", gif_in_disguise, ("a GIF",)),
    Bad("views of different sizes", unequal, ("512 x 640", "512 x 512")),
    Bad("name with a space", text("asset: my crate\n"), ("space", "my_crate"), 3),
    Bad("name in Unicode", text("asset: größe\n"), ("not a-z", "grosse"), 3),
    Bad("name that is a path", text("asset: ../crate\n"), ("path, not a name",), 3),
)
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@pytest.fixture
def content(tmp_path: Path) -> Path:
    """Give a content folder with two sound assets, one of which will be broken."""
    return content_folder(tmp_path / "content", "bad", "good")


def harm(case: Bad, content: Path) -> None:
    """Break the asset called bad."""
    case.harm(content / "manifests" / "bad.yaml", content / "inbox" / "bad")


@each_case
def test_each_mistake_is_one_clear_problem(case: Bad, content: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command validate exits with 1 and says where, what and what to do instead; the other asset is not mentioned."""
    harm(case, content)
    assert main(["validate", "--content", str(content), "--format", "json"]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    problems = json.loads(out)["problems"]
    assert {problem["file"] for problem in problems} == {"manifests/bad.yaml"}
    problem = problems[0]
    assert "\n" not in problem["message"] + problem["hint"]
    assert problem["hint"]
    assert problem["line"] == case.line or not case.line
    said = f"{problem['field']} {problem['message']}; {problem['hint']}"
    for word in case.words:
        assert word in said
    assert str(content) not in said


@each_case
def test_each_mistake_costs_one_asset(case: Bad, content: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A plan exits with 1, complains of the bad asset only and still plans the good one."""
    harm(case, content)
    assert main(["plan", "--content", str(content), "--json"]) == 1
    out, err = capsys.readouterr()
    assert [asset["asset"] for asset in json.loads(out)["assets"]] == ["good"]
    assert err.startswith("manifests/bad.yaml")
    assert "Traceback" not in err


def test_two_manifests_of_one_asset_are_both_refused(content: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each of the two is named once with the other's file, and a third asset is not mentioned."""
    (content / "manifests" / "twin.yaml").write_text(LEAST + "asset: bad\nimages: bad\n")
    assert main(["validate", "--content", str(content), "--format", "json"]) == 1
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert [(problem["file"], problem["code"]) for problem in problems] == [
        ("manifests/bad.yaml", "duplicate_asset"),
        ("manifests/twin.yaml", "duplicate_asset"),
    ]
    assert "manifests/twin.yaml" in problems[0]["message"]


@pytest.mark.parametrize("name", ["my crate", "größe", "Crate", "con", "9lives"])
def test_a_file_name_that_is_no_asset_name_is_refused(name: str, content: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A manifest's file name becomes the asset's name, so it is held to the same rules."""
    (content / "manifests" / f"{name}.yaml").write_text(LEAST + "images: good\n")
    assert main(["validate", "--content", str(content), "--format", "json"]) == 1
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert problem["file"] == f"manifests/{name}.yaml"
    assert "write " in problem["hint"]


def test_a_full_disk_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run on a full disk exits with 1, says to free space, and goes on from there when there is some."""
    with small_disk(tmp_path / "disk", 1024) as disk:
        if disk is None:
            pytest.skip("this user may not mount a small disk")
        content = content_folder(disk, "good")
        filler = fill(disk)
        assert main(["run", "--content", str(content)]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert "No space left on device" in err
        assert "free some space" in err
        assert "Traceback" not in err
        filler.unlink()
        assert run(LocalContent(content), FakeExecutor(), Recorder()).ok


def test_exports_that_cannot_be_written_are_one_line(content: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run exits with 1 and names the path; once it is free, the package is published without a stage running again."""
    (content / "exports").write_text("in the way")
    executor = FakeExecutor()
    run(LocalContent(content), executor, Recorder())
    assert main(["run", "--content", str(content), "--json"]) == 1
    out, err = capsys.readouterr()
    assets = json.loads(out)["assets"]
    assert {asset["error"]["code"] for asset in assets} == {"content"}
    assert all("exports" in asset["error"]["message"] for asset in assets)
    assert len([line for line in err.splitlines() if "cannot write" in line]) == 2
    (content / "exports").unlink()
    assert main(["run", "--content", str(content), "--json"]) == 0
    assets = json.loads(capsys.readouterr().out)["assets"]
    assert [asset["state"] for asset in assets] == ["done", "done"]
    assert all(stage["cached"] for asset in assets for stage in asset["stages"])


CHEAP = """\
forge: 1
place: {height_cm: 30}
generate: {quality: fast}
decimate: {triangles: 500}
unwrap: {texture_size: 512}
bake_normal: off
bake_material: off
bake_occlusion: off
inpaint: off
build_lods: off
build_collision: {method: box}
"""


@pytest.mark.slow
def test_bad_assets_do_not_stop_a_good_one(content: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One asset is refused, one fails in a stage, and the third is made in the same run."""
    for view in VIEWS:
        (content / "inbox" / "good" / f"{view}.png").write_bytes((ROOT / "inbox" / "ammo_crate" / f"{view}.png").read_bytes())
    (content / "manifests" / "good.yaml").write_text(CHEAP)
    (content / "manifests" / "bad.yaml").write_text(LEAST + "decimat: {triangles: 7}\n")
    content_folder(content, "blank")
    Image.new("RGBA", (64, 64)).save(content / "inbox" / "blank" / "front.png")
    assert main(["run", "--content", str(content), "--json"]) == 1
    out, err = capsys.readouterr()
    bad, blank, good = json.loads(out)["assets"]
    assert (bad["asset"], bad["state"], bad["stages"]) == ("bad", "failed", [])
    assert (blank["asset"], blank["state"], blank["error"]["code"]) == ("blank", "failed", "stage")
    assert (good["asset"], good["state"], good["error"]) == ("good", "done", None)
    assert (content / good["package"]).is_file()
    assert sum(line.startswith("blank: failed: ") for line in err.splitlines()) == 1
    assert "Traceback" not in err
