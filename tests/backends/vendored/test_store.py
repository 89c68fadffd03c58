from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from forge_batch.backends.vendored.checkpoints import compare, read_shapes
from forge_batch.backends.vendored.machine import Machine
from forge_batch.backends.vendored.origins import Folder, Internet
from forge_batch.backends.vendored.pins import VENDOR, Package, PinError, load_pins, package
from forge_batch.backends.vendored.readiness import require
from forge_batch.backends.vendored.signatures import differences, read_signatures
from forge_batch.backends.vendored.store import fetch, read_record, verify
from forge_batch.backends.vendored.tree import tree_digest
from forge_batch.errors import BackendUnavailable
from forge_batch.vendor_text import vendor, vendor_text
from tests.model_hub import ModelHub, served

CODE, WEIGHTS = "a" * 40, "b" * 40
PIPELINE = b"class Pipe:\n    def run(self, image: str, seed: int = 42, *, steps=12, **more) -> None: ...\n"
FILES = {"pkg/__init__.py": b"", "pkg/pipe.py": PIPELINE, "LICENSE": b"MIT", "assets/huge.png": b"x", "pkg/train/a.py": b""}
TENSORS = {"model.safetensors": b"w" * 5000, "config.json": b"{}", "README.md": b"read me"}
TREE = hashlib.sha256(
    "".join(
        f"{hashlib.sha256(FILES[name]).hexdigest()} {name}\n" for name in ("LICENSE", "pkg/__init__.py", "pkg/pipe.py")
    ).encode()
).hexdigest()
PINS = f"""
[thing]
title = "Thing"
licence = "MIT"
gpu_gb = 8
disk_gb = 0.001

[thing.code]
repo = "ann/thing"
host = "github"
revision = "{CODE}"
tree = "{TREE}"
take = ["pkg/*", "LICENSE"]
leave = ["pkg/train/*"]

[[thing.weights]]
repo = "ann/weights"
revision = "{WEIGHTS}"
take = ["*.safetensors", "config.json"]
gated = true

[[thing.weights]]
repo = "ann/more"
revision = "{WEIGHTS}"
take = ["config.json"]
optional = true

[thing.imports]
numpy = "pip install numpy"
"no_such_module|nor_this" = "sh build.sh"

[thing.signatures."pkg/pipe.py"]
"Pipe.run" = "(self, image, seed=42, *, steps=12, **more)"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give a vendor folder with the pins of one package."""
    folder = tmp_path / "vendor"
    folder.mkdir()
    (folder / "vendor.toml").write_text(PINS)
    return folder


@pytest.fixture
def hub() -> Iterator[ModelHub]:
    """Serve that package."""
    repos = {"ann/thing": (CODE, FILES), "ann/weights": (WEIGHTS, TENSORS), "ann/more": (WEIGHTS, {"config.json": b"[]"})}
    with served(ModelHub(repos={name: (commit, dict(files)) for name, (commit, files) in repos.items()})) as one:
        yield one


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """Give a folder that stands in for both hosts."""
    for repo, files in (("ann/thing", FILES), ("ann/weights", TENSORS)):
        for name, data in files.items():
            path = tmp_path / "mirror" / repo / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return tmp_path / "mirror"


def silent(_: str) -> None:
    """Say nothing."""


def internet(hub: ModelHub) -> Internet:
    """Fetch from the stand-in."""
    return Internet(endpoint=hub.url, archives=hub.url)


def thing(root: Path) -> Package:
    """Read the pins of the package."""
    return package("thing", root)


def test_a_fetch_brings_exactly_the_pinned_files_and_records_them(root: Path, hub: ModelHub) -> None:
    """Code and weights lie below the package with no file more; the record holds commits and each file's sha256."""
    record = fetch(thing(root), internet(hub), silent, root)
    code = {path.relative_to(root / "thing/code").as_posix() for path in (root / "thing/code").rglob("*.*")}
    assert code == {"pkg/__init__.py", "pkg/pipe.py"}
    assert record["ann/thing"]["tree"] == TREE
    assert record["ann/thing"]["resolved"] == CODE
    assert set(record["ann/weights"]["files"]) == {"model.safetensors", "config.json"}
    sha = hashlib.sha256(TENSORS["model.safetensors"]).hexdigest()
    assert record["ann/weights"]["files"]["model.safetensors"] == {"size": 5000, "sha256": sha}
    assert record["ann/weights"]["resolved"] == WEIGHTS
    assert "ann/more" not in record
    assert record == json.loads((root / "thing/record.json").read_text())
    assert not any(finding.problems for finding in verify(thing(root), root))


def test_a_second_fetch_asks_nobody(root: Path, hub: ModelHub) -> None:
    """What is here as pinned is kept without a request; optional weights come when they are asked for."""
    fetch(thing(root), internet(hub), silent, root)
    hub.asked.clear()
    fetch(thing(root), internet(hub), silent, root)
    assert hub.asked == []
    assert "ann/more" in fetch(thing(root), internet(hub), silent, root, optional=True)


def test_parts_of_one_repository_come_one_by_one(root: Path, hub: ModelHub) -> None:
    """--with brings the named part beside what is here and records it apart; a part that does not exist is refused by name."""
    more = PINS.replace('take = ["config.json"]\noptional = true', 'take = ["README.md"]\noptional = true\npart = "small"')
    (root / "vendor.toml").write_text(more.replace("ann/more", "ann/weights"))
    record = fetch(thing(root), internet(hub), silent, root, parts=["small"])
    assert set(record["ann/weights (small)"]["files"]) == {"README.md"}
    assert set(record["ann/weights"]["files"]) == {"model.safetensors", "config.json"}
    (root / "thing/weights/ann--weights/README.md").unlink()
    assert [finding.problems for finding in verify(thing(root), root)] == [(), (), ("README.md is missing",)]
    with pytest.raises(BackendUnavailable, match=r"thing has no optional part 'big': its parts are: small"):
        fetch(thing(root), internet(hub), silent, root, parts=["big"])


def test_a_folder_stands_in_for_the_network(root: Path, mirror: Path) -> None:
    """--from DIR gives the same files and the same tree, without any request."""
    record = fetch(thing(root), Folder(mirror), silent, root)
    assert record["ann/thing"]["tree"] == TREE
    assert record["ann/weights"]["resolved"] == ""
    assert not any(finding.problems for finding in verify(thing(root), root))


def test_other_code_than_the_pinned_is_refused_and_nothing_replaced(root: Path, mirror: Path) -> None:
    """A changed source file fails by its tree; what was here before is untouched."""
    fetch(thing(root), Folder(mirror), silent, root)
    (mirror / "ann/thing/pkg/pipe.py").write_bytes(PIPELINE + b"# changed\n")
    (root / "thing/record.json").unlink()
    with pytest.raises(BackendUnavailable, match="are not those of aaaaaaaaaaaa"):
        fetch(thing(root), Folder(mirror), silent, root)
    assert (root / "thing/code/pkg/pipe.py").read_bytes() == PIPELINE


def test_another_signature_is_refused_with_both(root: Path, mirror: Path) -> None:
    """Where only the revision holds the code, a changed parameter is found by reading the source."""
    (root / "vendor.toml").write_text(PINS.replace(f'tree = "{TREE}"', "").replace("seed=42", "seed=0"))
    with pytest.raises(BackendUnavailable, match=r"seed=42.*written for \(self, image, seed=0"):
        fetch(thing(root), Folder(mirror), silent, root)
    assert not (root / "thing/code").exists()


def test_code_of_another_commit_is_refused(root: Path, mirror: Path) -> None:
    """A folder that says what commit it is of must say the pinned one."""
    (mirror / "ann/thing/.revision").write_text("c" * 40)
    with pytest.raises(BackendUnavailable, match="came as cccc"):
        fetch(thing(root), Folder(mirror), silent, root)


def test_a_gated_repository_says_where_to_ask(root: Path, hub: ModelHub) -> None:
    """The error names the page to accept the licence on and the variable for the token."""
    hub.gated.add("ann/weights")
    with pytest.raises(BackendUnavailable, match=r"gated.*accept its licence at https://huggingface.co/ann/weights.*HF_TOKEN"):
        fetch(thing(root), internet(hub), silent, root)
    assert "ann/thing" in read_record(thing(root), root)


def test_a_wrong_revision_is_said(root: Path, hub: ModelHub) -> None:
    """A commit that a host does not have names the repository and the pin, for code and for weights."""
    hub.repos["ann/weights"] = ("d" * 40, TENSORS)
    with pytest.raises(BackendUnavailable, match=f"ann/weights has no revision {WEIGHTS}"):
        fetch(thing(root), internet(hub), silent, root)
    hub.repos["ann/thing"] = ("d" * 40, FILES)
    (root / "thing/record.json").unlink()
    with pytest.raises(BackendUnavailable, match=r"404.*correct its revision"):
        fetch(thing(root), internet(hub), silent, root)


def test_a_broken_download_is_not_kept(root: Path, hub: ModelHub) -> None:
    """A large file whose bytes are not those the hub announces is removed, so the next fetch brings it anew."""
    hub.spoilt.add("model.safetensors")
    hub.repos["ann/weights"] = (WEIGHTS, {**TENSORS, "model.safetensors": bytes(range(250)) * 20})
    with pytest.raises(BackendUnavailable, match=r"broken|cannot be fetched"):
        fetch(thing(root), internet(hub), silent, root)
    hub.spoilt.clear()
    record = fetch(thing(root), internet(hub), silent, root)
    assert record["ann/weights"]["files"]["model.safetensors"]["size"] == 5000


def test_an_unreachable_hub_is_said(root: Path, tmp_path: Path) -> None:
    """Nothing answers: the error says how to go on without the network."""
    nowhere = Internet(endpoint="http://127.0.0.1:9", archives="http://127.0.0.1:9")
    with pytest.raises(BackendUnavailable, match="--from DIR"):
        fetch(thing(root), nowhere, silent, root)
    missing = Folder(tmp_path / "nothing")
    with pytest.raises(BackendUnavailable, match="is missing"):
        fetch(thing(root), missing, silent, root)


def test_weights_are_not_taken_from_an_unreachable_hub(root: Path, hub: ModelHub) -> None:
    """Old files in the folder are no answer when the hub is away: a fetch that checked nothing must not pass."""
    fetch(thing(root), internet(hub), silent, root)
    (root / "thing/record.json").unlink()
    away = Internet(endpoint="http://127.0.0.1:9", archives=hub.url)
    with pytest.raises(BackendUnavailable, match="cannot be fetched"):
        fetch(thing(root), away, silent, root)


def test_too_little_room_is_said_before_a_download(root: Path, hub: ModelHub) -> None:
    """A package larger than the disk is refused with both numbers and no request for weights."""
    (root / "vendor.toml").write_text(PINS.replace("disk_gb = 0.001", "disk_gb = 1000000"))
    with pytest.raises(BackendUnavailable, match="takes 1e\\+06 GB"):
        fetch(thing(root), internet(hub), silent, root)
    assert not any("weights" in line for line in hub.asked)


def test_verify_finds_every_kind_of_change(root: Path, mirror: Path) -> None:
    """A missing file, one of another size, one of other bytes, and a new pin are each said."""
    fetch(thing(root), Folder(mirror), silent, root)
    weights = root / "thing/weights/ann--weights"
    (weights / "model.safetensors").write_bytes(b"v" * 5000)
    assert verify(thing(root), root, hashes=False)[1].problems == ()
    assert "was changed" in verify(thing(root), root)[1].problems[0]
    (weights / "model.safetensors").write_bytes(b"w")
    assert "has 1 bytes, recorded are 5000" in verify(thing(root), root, hashes=False)[1].problems[0]
    (weights / "model.safetensors").unlink()
    assert verify(thing(root), root, hashes=False)[1].problems == ("model.safetensors is missing",)
    (root / "vendor.toml").write_text(PINS.replace(WEIGHTS, "e" * 40))
    assert "pinned is eeeeeeeeeeee" in verify(thing(root), root, hashes=False)[1].problems[0]


def test_a_spoilt_record_counts_as_none(root: Path, mirror: Path) -> None:
    """A record that is no JSON is as good as none: everything is fetched and recorded anew."""
    fetch(thing(root), Folder(mirror), silent, root)
    (root / "thing/record.json").write_text("{")
    assert not verify(thing(root), root)[0].present
    assert fetch(thing(root), Folder(mirror), silent, root)["ann/thing"]["tree"] == TREE


def test_the_command_tells_what_it_did(root: Path, mirror: Path) -> None:
    """`fetch` warns of a machine that cannot run it, `list` and `verify` count what is wrong, and only verify fails."""
    said: list[str] = []
    nobody = Machine()
    made = vendor("fetch", ["thing"], mirror, optional=False, say=said.append, root=root, machine=nobody)
    assert made["ok"]
    assert "will not run on this machine: no NVIDIA GPU was found" in said[0]
    assert "as pinned" in vendor_text(made)
    (root / "thing/code/LICENSE").unlink()
    for action, fine in (("list", True), ("verify", False)):
        document = vendor(action, [], None, optional=False, say=silent, root=root, machine=nobody)
        assert document["ok"] is fine
        assert "1 wrong" in vendor_text(document)
        assert "thing: LICENSE is missing" in vendor_text(document)
    with pytest.raises(BackendUnavailable, match="write one of thing"):
        vendor("list", ["thign"], None, optional=False, say=silent, root=root)


def test_what_is_missing_is_said_in_the_order_of_mending(root: Path, mirror: Path) -> None:
    """One sentence names code, weights, libraries and GPU; the hint is the first command; nothing missing gives the package."""
    nobody = Machine()
    with pytest.raises(BackendUnavailable) as caught:
        require("thing", root, nobody)
    assert caught.value.message == (
        "thing cannot run here: its code (ann/thing) was not fetched; weights (ann/weights) were not fetched; no_such_module "
        "or nor_this cannot be imported; no NVIDIA GPU was found, 8 GB of one are needed"
    )
    assert caught.value.hint == "forge-batch vendor fetch thing"
    fetch(thing(root), Folder(mirror), silent, root)
    with pytest.raises(BackendUnavailable, match=r"sh build\.sh"):
        require("thing", root, nobody)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (f'revision = "{CODE}"', 'revision = "main"', "pinned at 'main'"),
        ('title = "Thing"', "", "lacks 'title'"),
        ('host = "github"', 'host = "gitlab"', "at 'gitlab'"),
        ("gated = true", "gatted = true", "gatted"),
        (f'tree = "{TREE}"', 'tree = "12"', "64 hexadecimal"),
        ("[thing]", "[thing", "vendor.toml"),
    ],
)
def test_a_wrong_pin_is_refused(root: Path, old: str, new: str, message: str) -> None:
    """Branches, unknown fields and hosts, short digests and missing titles are errors that name file and value."""
    (root / "vendor.toml").write_text(PINS.replace(old, new, 1))
    with pytest.raises(PinError, match=message):
        load_pins(root)


def test_the_pins_of_this_project_are_sound() -> None:
    """Every package has a licence, every source a commit, and every one with signatures has the code that holds them."""
    pins = load_pins(VENDOR)
    assert {"trellis2", "hunyuan3d", "birefnet", "inpainter", "unirig", "skintokens"} <= set(pins)
    for one in pins.values():
        assert one.licence
        assert one.code or not one.signatures
        for file in one.signatures:
            assert one.code
            assert one.code.wants(file)


def test_signatures_are_read_without_running_the_source() -> None:
    """Defaults, keyword-only and collecting parameters are kept, annotations and decorators are not."""
    source = "class A:\n    @x\n    async def f(self, a: int, /, b: 'T' = {}, *c, d=1.0, **e) -> int: ...\ndef g(): ...\n"
    assert read_signatures("raise SystemExit\n" + source) == {"A.f": "(self, a, /, b={}, *c, d=1.0, **e)", "g": "()"}


def test_differences_name_what_is_missing(tmp_path: Path) -> None:
    """A missing file, one that is no Python, and a missing function each give a sentence."""
    (tmp_path / "a.py").write_text("def f(): ...")
    (tmp_path / "b.py").write_text("def (")
    found = differences(tmp_path, {"a.py": {"g": "(x)"}, "b.py": {"f": "()"}, "c.py": {"f": "()"}})
    assert found[0] == "a.py has no g(x)"
    assert "b.py is no Python source" in found[1]
    assert found[2] == "c.py is missing"


def safetensors(path: Path, shapes: dict[str, tuple[int, ...]], *, lost: int = 0) -> Path:
    """Write a file of zeros in the safetensors layout: length, JSON header, data."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        size = 4
        for edge in shape:
            size *= edge
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    path.write_bytes((len(text).to_bytes(8, "little") + text + bytes(end))[: -lost or None])
    return path


def test_a_checkpoint_is_compared_with_its_model(tmp_path: Path) -> None:
    """Missing, needless and differently shaped tensors are named; exact ones and optional ones pass."""
    path = safetensors(tmp_path / "m.safetensors", {"a.weight": (2, 3), "a.bias": (2,), "scale": ()})
    assert read_shapes(path) == {"a.weight": (2, 3), "a.bias": (2,), "scale": ()}
    compare(path, {"a.weight": (2, 3), "a.bias": (2,), "scale": ()})
    compare(path, {"a.weight": (2, 3), "a.bias": (2,), "scale": (), "freqs": (4,)}, frozenset({"freqs"}))
    with pytest.raises(BackendUnavailable) as caught:
        compare(path, {"a.weight": (3, 2), "a.bias": (2,), "b.weight": (1,)})
    for words in ("1 tensors are missing (b.weight)", "1 tensors belong to another model (scale)", "a.weight 2x3 for 3x2"):
        assert words in caught.value.message


def test_a_file_that_is_no_checkpoint_is_said(tmp_path: Path) -> None:
    """A Git LFS pointer, a file cut short and a missing one are refused, each with what to do."""
    pointer = tmp_path / "p.safetensors"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n")
    cut = safetensors(tmp_path / "c.safetensors", {"a": (9,)}, lost=4)
    for path, words in ((pointer, "no whole safetensors"), (cut, "are announced"), (tmp_path / "none", "is missing")):
        with pytest.raises(BackendUnavailable, match=words):
            read_shapes(path)


def test_a_tree_digest_depends_on_names_and_bytes_alone() -> None:
    """The order of the files does not matter; a renamed file does."""
    one, two = {"sha256": "1"}, {"sha256": "2"}
    assert tree_digest({"a": one, "b": two}) == tree_digest({"b": two, "a": one})
    assert tree_digest({"a": one, "b": two}) != tree_digest({"a": two, "b": one})
    assert tree_digest({"a": one}) == hashlib.sha256(b"1 a\n").hexdigest()


def test_a_cut_download_is_resumed(root: Path, hub: ModelHub) -> None:
    """A connection that ends in the middle of a checkpoint costs no second copy of what came, and the file is whole."""
    hub.repos["ann/weights"] = (WEIGHTS, {**TENSORS, "model.safetensors": bytes(range(256)) * 4096})
    hub.cut.add("model.safetensors")
    record = fetch(thing(root), internet(hub), silent, root)
    assert hub.cut == set()
    assert record["ann/weights"]["files"]["model.safetensors"]["size"] == 1 << 20
