from __future__ import annotations

import gc
import json
import pickle
import time
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forge_batch import presets
from forge_batch.errors import ManifestError
from forge_batch.manifest import (
    Manifest,
    clean_name,
    load_manifest,
    load_manifests,
    manifest_model,
    parse_manifest,
    reference_markdown,
    schema,
    title,
)
from forge_batch.problem_text import render_problem
from forge_batch.stage import GROUPS, Cost, Stage, StageParams, Switchable
from forge_batch.stages import STAGES

HERE = Path(__file__).parent
ROOT = HERE.parent
VALID = sorted((HERE / "manifests" / "valid").glob("*.yaml"))
INVALID = sorted((HERE / "manifests" / "invalid").glob("*.yaml"))
REFERENCE_MARK = "<!-- reference -->\n"
LEAST = "forge: 1\nplace: {height_cm: 60}\n"
VALIDATOR = jsonschema.Draft202012Validator(schema())


@pytest.fixture
def content(tmp_path: Path) -> Path:
    """Give a content folder of this test's own."""
    return make_content(tmp_path)


def make_content(tmp_path: Path) -> Path:
    """Make a content folder with good and bad image sets. The images are empty: what is in them is not looked at here."""
    root = tmp_path / "content"
    inbox = root / "inbox"
    for name in (
        "crate/front.png",
        "crate/back.png",
        "crate/camera.json",
        "crate/LICENSE.txt",
        "twice/front.png",
        "twice/front.jpg",
    ):
        (inbox / name).parent.mkdir(parents=True, exist_ok=True)
        (inbox / name).touch()
    for name in ("extra/front.png", "extra/bakc.png", "extra/README.md", "extra/.DS_Store"):
        (inbox / name).parent.mkdir(exist_ok=True)
        (inbox / name).touch()
    (inbox / "empty").mkdir()
    (inbox / "filelink").mkdir()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "front.png").touch()
    (inbox / "link").symlink_to(outside)
    (inbox / "filelink" / "front.png").symlink_to(outside / "front.png")
    (root / "manifests").mkdir()
    return root


def put(content: Path, name: str, text: str | bytes, image: bool = True) -> Path:
    """Write a manifest and give it an image."""
    path = content / "manifests" / f"{name}.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    if image:
        (content / "inbox" / name).mkdir(exist_ok=True)
        (content / "inbox" / name / "front.png").touch()
    return path


def complaints(text: str | bytes) -> list[str]:
    """Give the problems of a manifest as lines."""
    with pytest.raises(ManifestError) as caught:
        parse_manifest(text, file="manifests/crate.yaml")
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_each_bad_manifest_shows_its_author_exactly_these_lines(path: Path, content: Path) -> None:
    """Every case under invalid/ is refused with the text beside it."""
    assert shown(path, content) == path.with_suffix(".expected").read_text(encoding="utf-8")


def shown(path: Path, content: Path) -> str:
    """Give what the author of a bad manifest sees."""
    data = path.read_bytes()
    with pytest.raises(ManifestError) as caught:
        load_manifest(put(content, path.stem, data), content)
    return "".join(render_problem(problem, data.decode("utf-8", "replace")) + "\n" for problem in caught.value.problems)


def test_there_are_enough_bad_manifests() -> None:
    """At least a hundred ways to go wrong are written down."""
    assert len(INVALID) >= 100


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_each_good_manifest_reads_back_from_its_own_resolved_form(path: Path, content: Path) -> None:
    """What goes into the package asks for the same as what the author wrote, and is written the same every time."""
    manifest = load_manifest(put(content, path.stem, path.read_bytes()), content)
    again = parse_manifest(manifest.to_yaml(), content)
    assert again.resolved() == manifest.resolved()
    assert again.to_yaml() == manifest.to_yaml()


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_the_schema_takes_each_good_manifest(path: Path) -> None:
    """An editor with the JSON Schema accepts what the loader accepts."""
    jsonschema.Draft202012Validator(schema()).validate(plain(path.read_bytes()))


def plain(data: bytes) -> Any:
    """Read a document as a JSON Schema validator sees it."""
    from forge_batch.yaml_file import parse_yaml

    root, problems = parse_yaml(data, "manifest.yaml")
    assert root is not None
    assert not problems
    return root.plain()


def test_the_schema_is_sound_and_its_examples_hold(tmp_path: Path) -> None:
    """The schema is valid draft 2020-12; every field is described and has examples, which it and the loader accept."""
    (tmp_path / "forge.yaml").write_text("project: {territory: US}\n")  # where every licence of an example holds
    document = schema()
    jsonschema.Draft202012Validator.check_schema(document)
    for example in document["examples"]:
        VALIDATOR.validate(example)
        parse_manifest(json.dumps(example))
    for field, part in document["properties"].items():
        assert part["description"], field
        assert part["examples"], field
        for example in part["examples"]:
            accepted({field: example}, tmp_path)
    for stage in STAGES:
        assert document["properties"][stage.name]["description"]
        definition = document["$defs"][document["properties"][stage.name]["anyOf"][0]["$ref"].rpartition("/")[2]]
        for name, field in definition.get("properties", {}).items():
            assert field.get("description"), f"{stage.name}.{name}"
            assert field.get("examples"), f"{stage.name}.{name}"
            for example in field["examples"]:
                accepted({stage.name: {name: example}}, tmp_path)


def accepted(part: dict[str, Any], content: Path) -> None:
    """Hold that a manifest with this part is taken by the schema and by the loader."""
    manifest = {"forge": 1, "asset": "thing", "place": {"height_cm": 60}} | part
    if "place" in part:
        manifest["place"] = {"height_cm": 60} | part["place"]
    VALIDATOR.validate(manifest)
    parse_manifest(json.dumps(manifest), content)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 100_000),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["off", "on", "no", "fast", "hero", "center", "crate", "a/front.png", "../x", "", "12", "prop_UE5_hero"]),
    st.lists(st.one_of(st.floats(0, 1), st.just("ue5")), max_size=3),
    st.sampled_from([{}, {"watertight": 3}, {"watertight": "no"}, {"waterproof": 3}]),
)


def fitting(stage: Stage[Any], name: str) -> st.SearchStrategy[Any]:
    """Draw values that a field takes, and now and then one just beyond its limits."""
    fields = stage.params.model_json_schema().get("properties", {})
    field = fields[name]
    words = field.get("enum") or [field.get("default")]
    limits = [field[key] for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum") if key in field]
    near = [limit + step for limit in limits for step in (-1, 0, 1)]
    return st.sampled_from([*words, *words, *near])


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Make manifests of which a good part is right: real keys, values that often fit."""
    document: dict[str, Any] = {"forge": 1, "place": {"height_cm": 60}}
    for stage in draw(st.lists(st.sampled_from(STAGES), max_size=4, unique_by=lambda stage: stage.name)):
        names = draw(st.lists(st.sampled_from(list(stage.params.model_fields) or ["none"]), max_size=3))
        fields = {name: draw(fitting(stage, name) if name != "none" and draw(st.integers(0, 9)) else VALUES) for name in names}
        section = {**document.get(stage.name, {}), **fields}
        document[stage.name] = draw(VALUES) if draw(st.integers(0, 9)) == 0 else section
    names = ["asset", "kind", "images", "seed", "priority", "notes", "forge", "bake_albedo"]
    return document | draw(st.dictionaries(st.sampled_from(names), VALUES, max_size=1))


@pytest.mark.slow
def test_the_schema_and_the_loader_agree() -> None:
    """On 10,000 generated documents, many good and many bad, the published schema accepts just what the loader accepts."""
    verdicts: Counter[bool] = Counter()

    @given(documents())
    @settings(max_examples=10_000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def agree(document: dict[str, Any]) -> None:
        try:
            parse_manifest(json.dumps(document), file="crate.yaml")
            taken = True
        except ManifestError:
            taken = False
        verdicts[taken] += 1
        assert taken == VALIDATOR.is_valid(document)

    agree()
    assert min(verdicts[True], verdicts[False]) > 1_000


def test_only_true_and_false_are_booleans() -> None:
    """Words that YAML 1.1 turns into booleans, dates and octals stay the text that was typed."""
    assert parse_manifest("asset: no\n" + LEAST).asset == "no"
    for text in ("yes", "on", "2024-01-01", "010", "0x1F", "1_000", "12:30:45", "0o14"):
        assert parse_manifest(f"notes: {text}\n{LEAST}").notes == text


def test_off_leaves_a_stage_out_and_symmetry_off() -> None:
    """`off` and `false` mean enabled: false on a stage that can be left out, and mode: off for symmetrize."""
    manifest = parse_manifest(LEAST + "repair: off\nclean: false\nrig: on\nsymmetrize: off\nbake_albedo: off\n")
    on = {stage.name: manifest.on(stage) for stage in STAGES}
    assert not any(on[name] for name in ("repair", "clean", "symmetrize", "bake_base_color"))
    assert on["rig"]
    assert on["generate"]
    assert manifest.resolved()["symmetrize"]["mode"] == "off"


def test_the_manifest_lies_over_its_presets(content: Path) -> None:
    """Defaults give way to forge.yaml, that to the preset's chain, that to the manifest; every value knows its origin."""
    (content / "presets").mkdir()
    (content / "presets" / "mine.yaml").write_text("extends: prop_UE5_hero\nplace:\n  height_cm: 42\nunwrap: {padding: 4}\n")
    (content / "forge.yaml").write_text("export:\n  naming: epic\n")
    manifest = parse_manifest("forge: 1\npreset: mine\nunwrap:\n  padding: 6\n", content, "manifests/crate.yaml")
    resolved = manifest.resolved()
    assert resolved["unwrap"]["padding"] == 6
    assert resolved["place"]["height_cm"] == 42
    assert resolved["unwrap"]["texture_size"] == 4096
    assert manifest.origins["unwrap.padding"] == "manifests/crate.yaml:4"
    assert manifest.origins["place.height_cm"] == "preset mine (presets/mine.yaml:3)"
    assert manifest.origins["unwrap.texture_size"] == "preset prop_UE5_hero"
    assert manifest.origins["build_lods.ratios"] == "preset prop_UE5_standard"
    assert manifest.origins["export.naming"] == "forge.yaml:2"
    assert manifest.origins["seed"] == "default"


@pytest.mark.parametrize("name", presets.built_in_names())
def test_every_built_in_preset_is_sound(name: str) -> None:
    """A manifest of a preset and a height alone is valid, and no preset asks for a rig."""
    manifest = parse_manifest(f"{LEAST}preset: {name}\n")
    assert manifest.preset == name
    assert name.startswith(manifest.kind)
    assert not manifest.resolved()["rig"]["enabled"]


@pytest.mark.parametrize("path", sorted(presets.FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_built_in_preset_is_sorted_by_groups(path: Path) -> None:
    """In a preset's file each stage stands under the name of its group."""
    group = ""
    stages = {stage.name: stage for stage in STAGES}
    for line in path.read_text().splitlines():
        if line.startswith("# ") and line[2:].split(":")[0].replace("-", "_") in GROUPS:
            group = line[2:].split(":")[0].replace("-", "_")
        if (name := line.split(":")[0]) in stages:
            assert stages[name].group == group, line


@pytest.mark.parametrize(("word", "resolution", "steps"), [("fast", 512, 8), ("balanced", 1024, 12), ("hero", 1536, 16)])
def test_quality_stands_for_resolution_and_steps(word: str, resolution: int, steps: int) -> None:
    """One word sets four fields, and a field that is written stays as it was written."""
    generate = parse_manifest(f"{LEAST}generate: {{quality: {word}}}\n").resolved()["generate"]
    assert (generate["resolution"], *(generate[f"{name}_steps"] for name in ("structure", "shape", "texture"))) == (
        resolution, steps, steps, steps,
    )  # fmt: skip
    assert parse_manifest(f"{LEAST}generate: {{quality: {word}, shape_steps: 20}}\n").resolved()["generate"] == {
        **generate,
        "shape_steps": 20,
    }


def test_the_five_presets_come_with_the_product() -> None:
    """Their names are part of the manifest language."""
    assert presets.built_in_names() == [
        "character_UE5_hero",
        "character_UE5_npc",
        "environment_UE5_background",
        "prop_UE5_hero",
        "prop_UE5_standard",
    ]


def test_a_problem_in_a_preset_is_reported_where_it_stands(content: Path) -> None:
    """The author of a user preset is sent to the preset's file and line, not to the manifest's."""
    (content / "presets").mkdir()
    (content / "presets" / "mine.yaml").write_text("decimate:\n  triangles: many\nseed: 3\n")
    with pytest.raises(ManifestError) as caught:
        parse_manifest(f"{LEAST}preset: mine\n", content)
    places = [(problem.file, problem.line, problem.code) for problem in caught.value.problems]
    assert places == [("presets/mine.yaml", 2, "wrong_type"), ("presets/mine.yaml", 3, "not_in_preset")]


def test_presets_that_extend_each_other_are_refused(content: Path) -> None:
    """A circle of presets is named, not followed."""
    (content / "presets").mkdir()
    (content / "presets" / "a.yaml").write_text("extends: b\n")
    (content / "presets" / "b.yaml").write_text("extends: a\n")
    with pytest.raises(ManifestError, match="presets extend each other: a -> b -> a"):
        parse_manifest(f"{LEAST}preset: a\n", content)


def test_good_manifests_survive_bad_ones(content: Path) -> None:
    """One bad file costs its own asset and nothing else; the sound ones come sorted by asset."""
    put(content, "zebra", LEAST)
    put(content, "apple", LEAST)
    put(content, "broken", "forge: 1\nplace: {height_cm: tall}\n")
    loaded = load_manifests(content)
    assert [manifest.asset for manifest in loaded.manifests] == ["apple", "zebra"]
    assert [(problem.file, problem.field) for problem in loaded.problems] == [("manifests/broken.yaml", "place.height_cm")]


def test_options_of_a_stage_that_is_off_are_warned_of(content: Path) -> None:
    """Options that have no effect are said, with their place, and cost nothing else."""
    put(content, "crate", LEAST + "rig:\n  backend: skintokens\nsymmetrize:\n  count: 6\n")
    loaded = load_manifests(content)
    assert [manifest.asset for manifest in loaded.manifests] == ["crate"]
    assert [(problem.line, problem.field, problem.severity) for problem in loaded.problems] == [
        (4, "rig.backend", "warning"),
        (6, "symmetrize.count", "warning"),
    ]


def test_two_manifests_for_one_asset_are_both_refused(content: Path) -> None:
    """Names that are equal, or equal but for underscores, are reported in both files, each naming the other."""
    put(content, "first", "asset: my_crate\nimages: crate\n" + LEAST)
    put(content, "second", "images: crate\nasset: mycrate\n" + LEAST)
    put(content, "third", "images: crate\n" + LEAST)
    loaded = load_manifests(content)
    assert [manifest.asset for manifest in loaded.manifests] == ["third"]
    first, second = loaded.problems
    assert (first.file, first.line, first.code) == ("manifests/first.yaml", 1, "duplicate_asset")
    assert (second.file, second.line, second.code) == ("manifests/second.yaml", 2, "duplicate_asset")
    assert "manifests/second.yaml" in first.message
    assert "manifests/first.yaml" in second.message


def test_manifests_that_will_not_be_read_are_named(content: Path, tmp_path: Path) -> None:
    """A subfolder with manifests, a link out of the folder and a folder called *.yaml are said, not skipped in silence."""
    (content / "manifests" / "props").mkdir()
    (content / "manifests" / "props" / "crate.yaml").write_text(LEAST)
    (tmp_path / "elsewhere.yaml").write_text(LEAST)
    (content / "manifests" / "crate.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    loaded = load_manifests(content)
    assert loaded.manifests == []
    assert [(problem.file, problem.code, problem.severity) for problem in loaded.problems] == [
        ("manifests/crate.yaml", "bad_path", "error"),
        ("manifests/props", "not_read", "warning"),
    ]


def test_a_folder_without_manifests_has_no_problems(tmp_path: Path) -> None:
    """An empty content folder asks for nothing."""
    loaded = load_manifests(tmp_path)
    assert (loaded.manifests, loaded.problems) == ([], [])


def test_a_bad_project_file_is_reported_once(content: Path) -> None:
    """A mistake in forge.yaml is said at its own place, however many manifests there are."""
    put(content, "apple", LEAST)
    put(content, "zebra", LEAST)
    (content / "forge.yaml").write_text("project:\n  comercial: true\n")
    (problem,) = load_manifests(content).problems
    assert str(problem).startswith(
        'forge.yaml:2:3: error: project.comercial: there is no key "comercial" here; did you mean "commercial"?'
    )


def test_images_come_with_camera_and_licence(content: Path) -> None:
    """Both ways to name images find the same files and what lies beside them."""
    by_name = load_manifest(put(content, "one", "images: crate\n" + LEAST), content)
    by_view = load_manifest(put(content, "two", "images: {front: crate/front.png, back: crate/back.png}\n" + LEAST), content)
    expected = {
        "front": content / "inbox/crate/front.png",
        "back": content / "inbox/crate/back.png",
        "camera": content / "inbox/crate/camera.json",
        "license": content / "inbox/crate/LICENSE.txt",
    }
    assert by_name.image_paths(content) == expected
    assert by_view.image_paths(content) == expected


def test_an_image_that_vanishes_after_loading_is_an_error_with_its_place(content: Path) -> None:
    """Looking for images again says what is missing and where the manifest asks for it."""
    manifest = load_manifest(put(content, "one", LEAST + "images: crate\n"), content)
    for view in ("front", "back"):
        (content / "inbox" / "crate" / f"{view}.png").unlink()
    with pytest.raises(ManifestError) as caught:
        manifest.image_paths(content)
    assert str(caught.value).startswith("manifests/one.yaml:3:9: error: images: inbox/crate holds no image")


def test_a_stage_added_to_the_list_becomes_a_field() -> None:
    """Nothing of the manifest names the stages: a new one is a field of the model as soon as it stands in the list."""

    class ShineParams(Switchable):
        """Polish."""

        strength: float = 0.5

    shine = Stage("shine", 1, "cpu", (), (), ShineParams, lambda _: Cost(), lambda _: {})
    model = manifest_model([*STAGES, shine])
    manifest = parse_manifest(LEAST).resolved()
    assert model.model_validate({**manifest, "shine": {"strength": 0.2}}, strict=False).params(shine).strength == 0.2
    assert list(model.model_fields)[-1] == "shine"
    assert [name for name in Manifest.model_fields if name in {stage.name for stage in STAGES}] == []


def test_every_stage_is_a_field_of_its_params_class() -> None:
    """A Manifest gives each stage exactly the params it declares."""
    manifest = parse_manifest(LEAST)
    for stage in STAGES:
        params: StageParams = manifest.params(stage)
        assert type(params) is stage.params


def test_a_manifest_can_be_sent_to_another_process() -> None:
    """Pickling keeps values, file and origins."""
    manifest = parse_manifest(LEAST, file="manifests/crate.yaml")
    copy = pickle.loads(pickle.dumps(manifest))
    assert copy.resolved() == manifest.resolved()
    assert copy.file == "manifests/crate.yaml"
    assert copy.origins == manifest.origins


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("My Crate", "my_crate"),
        ("WoodenCrate", "wooden_crate"),
        ("Größe", "grosse"),
        ("../../x", "x"),
        ("3d", "asset_3d"),
        ("con", "asset_con"),
        ("箱", "asset"),
        ("crate-01.png", "crate_01_png"),
        ("LOUD", "loud"),
    ],
)
def test_bad_names_are_cleaned_into_good_ones(name: str, clean: str) -> None:
    """The name that a message proposes is itself accepted."""
    assert clean_name(name) == clean
    assert parse_manifest(f"asset: {clean}\n{LEAST}").asset == clean


def test_the_engine_name_is_pascal_case() -> None:
    """`wooden_crate_2` is WoodenCrate2 in the engine."""
    assert title("wooden_crate_2") == "WoodenCrate2"


def seconds(data: bytes) -> float:
    """Measure how long it takes to refuse a file; what other tests left in memory is not searched for garbage meanwhile."""
    gc.freeze()
    start = time.thread_time()
    try:
        with pytest.raises(ManifestError):
            parse_manifest(data)
        return time.thread_time() - start
    finally:
        gc.unfreeze()


def doubling(levels: int) -> bytes:
    """Make a file whose aliases would stand for 9 ** levels values."""
    rows = ["a0: &a0 [lol]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(rows).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"notes: " + b"a" * 10_000_000,
        b"notes: " + b"a" * 1_000_000,
        b"[" * 1_000_000,
        b"{a: " * 200_000,
        b"- " * 500_000,
        b"? " * 500_000,
        b"a: [" + b"1, " * 300_000 + b"]",
        b"\n".join(b"key%d: 1" % number for number in range(60_000)),
        b"\n".join(b"key%d: 1" % number for number in range(4_000)),
        b"k: 1\n" * 9_000,
        b"#" * 1_000_000,
        b"#\n" * 500_000,
        b"\n" * 1_000_000,
        b"a" * 1_000_000 + b": 1",
        b"'" * 1_000_000,
        b"&a " * 300_000,
        b"!" * 1_000_000,
        b"%" * 1_000_000,
        b"a: |\n" + b" x\n" * 300_000,
        b"\t" * 1_000_000,
        b"a:\n" + b" \t\n" * 300_000 + b"]",
        doubling(12),
        doubling(4_000),
    ],
    ids=lambda data: data[:12].decode(errors="replace") + f"~{len(data)}",
)
def test_no_file_however_large_takes_a_second(data: bytes) -> None:
    """Size, depth, width and expansion are bounded: each is refused within a second of CPU time."""
    assert seconds(data) < 1


def test_a_full_file_of_problems_is_cut_short() -> None:
    """Thousands of mistakes give the first fifty, not thousands of lines."""
    assert len(complaints(b"\n".join(b"key%d: 1" % number for number in range(4_000)))) <= 60


@given(st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_no_bytes_do_more_than_fail(data: bytes) -> None:
    """Any bytes give a Manifest or a ManifestError with at least one problem."""
    check_bytes(data)


@given(st.text(alphabet=st.sampled_from("forge: 1place{}[]\n -#&*!|>'\"%@`,?<\t\\~0e.x_\ufeff\u2028é"), max_size=200))
@settings(max_examples=500, deadline=None)
def test_no_yaml_like_text_does_more_than_fail(text: str) -> None:
    """Any text of YAML's own characters gives a Manifest or a ManifestError."""
    check_bytes((LEAST + text).encode())


@given(st.sampled_from(VALID), st.integers(0, 600), st.text(max_size=6), st.integers(0, 4))
@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_change_to_a_good_manifest_does_more_than_fail(path: Path, at: int, inserted: str, cut: int) -> None:
    """A good manifest with something typed into it, or cut out, still gives a Manifest or a ManifestError."""
    text = path.read_bytes().decode("utf-8-sig")
    check_bytes((text[:at] + inserted + text[at + cut :]).encode(errors="replace"))


def check_bytes(data: bytes) -> None:
    """Read and, if it fails, show: neither may end in anything but a Manifest or a ManifestError."""
    try:
        manifest = parse_manifest(data, file="manifests/crate.yaml")
    except ManifestError as error:
        problems = error.problems
    else:
        assert parse_manifest(manifest.to_yaml()).resolved() == manifest.resolved()
        return
    assert problems
    for problem in problems:
        assert problem.message
        assert render_problem(problem, data.decode("utf-8", "replace")).startswith("manifests/crate.yaml")


def test_a_thousand_manifests_load_in_three_seconds(tmp_path: Path) -> None:
    """Reading scales to a studio's folder: 1,000 manifests with 4,000 images, timed in CPU seconds."""
    (tmp_path / "manifests").mkdir()
    for number in range(1_000):
        folder = tmp_path / "inbox" / f"asset_{number:04}x"
        folder.mkdir(parents=True)
        for view in ("front", "right", "back", "left"):
            (folder / f"{view}.png").touch()
        (tmp_path / "manifests" / f"asset_{number:04}x.yaml").write_text(LEAST + "decimate: {triangles: 5000}\n")
    start = time.process_time()
    loaded = load_manifests(tmp_path)
    assert time.process_time() - start < 3
    assert (len(loaded.manifests), loaded.problems) == (1_000, [])


def test_the_reference_in_the_documentation_is_the_schema() -> None:
    """docs/manifest.md holds the table that the schema gives, word for word."""
    text = (ROOT / "docs" / "manifest.md").read_text(encoding="utf-8")
    assert text.split(REFERENCE_MARK)[1] == "\n" + reference_markdown()


def test_every_example_in_the_documentation_is_valid() -> None:
    """Each yaml block of docs/manifest.md that begins with `forge: 1` is a manifest that loads."""
    text = (ROOT / "docs" / "manifest.md").read_text(encoding="utf-8")
    blocks = [part.split("```")[0] for part in text.split("```yaml\n")[1:]]
    manifests = [block for block in blocks if block.startswith("forge: 1")]
    assert len(manifests) >= 3
    for block in manifests:
        parse_manifest(block, file="wooden_crate.yaml")
