from __future__ import annotations

import re
from pathlib import Path

import pytest

from forge_batch.manifest import load_manifests
from forge_batch.packages.names import PATTERN, Names, clashes, style_fault
from tests.fakes import content_folder

FILES = ("base_color", "normal", "orm")
SOUND = ["epic", "allar", "{type}_{Asset}_{map}", "MyGame_{type}_{Asset}_{map}", "{asset}_{type}{map}", "{map}_{Asset}_{type}"]
BROKEN = {
    "SM_{Asset}_{map}": "must hold {type} once",
    "{type}_{Asset}": "must hold {map} once",
    "{type}_{map}": "must hold {Asset} or {asset} once",
    "{type}_{Asset}_{asset}_{map}": "must hold {Asset} or {asset} once",
    "{type}_{type}_{Asset}_{map}": "must hold {type} once",
    "{type} {Asset}_{map}": "more than A-Z",
    "{type}_{Asset}_{map}_{size}": "more than A-Z",
    "../{type}_{Asset}_{map}": "more than A-Z",
    "unreal": "must hold {type} once",
    "": "must hold {type} once",
}


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("epic", ["SM_WoodBarrel", "SK_WoodBarrel", "M_WoodBarrel", "T_WoodBarrel_BC", "T_WoodBarrel_N", "T_WoodBarrel_ORM"]),
        ("allar", ["S_WoodBarrel", "SK_WoodBarrel", "M_WoodBarrel", "T_WoodBarrel_D", "T_WoodBarrel_N", "T_WoodBarrel_ORM"]),
        (
            "Game_{type}_{asset}_{map}",
            [
                "Game_SM_wood_barrel",
                "Game_SK_wood_barrel",
                "Game_M_wood_barrel",
                "Game_T_wood_barrel_BC",
                "Game_T_wood_barrel_N",
                "Game_T_wood_barrel_ORM",
            ],
        ),
        (
            "{map}_{Asset}_{type}",
            ["WoodBarrel_SM", "WoodBarrel_SK", "WoodBarrel_M", "BC_WoodBarrel_T", "N_WoodBarrel_T", "ORM_WoodBarrel_T"],
        ),
    ],
)
def test_styles_name_meshes_materials_and_textures(style: str, expected: list[str]) -> None:
    """Each style gives the names that its guide, or its pattern, says."""
    names = Names("wood_barrel", style)
    assert [names.mesh, names.skeletal_mesh, names.material, *(names.texture(kind) for kind in FILES)] == expected


@pytest.mark.parametrize("style", SOUND)
def test_sound_styles_are_taken(style: str) -> None:
    """The two named styles and patterns with every word once are fine, for us and for the schema's pattern."""
    assert style_fault(style) is None
    assert re.search(PATTERN, style)


@pytest.mark.parametrize(("style", "words"), BROKEN.items())
def test_other_styles_are_refused_with_what_is_missing(style: str, words: str) -> None:
    """A pattern that would give two files one name, or names that Unreal refuses, says so and shows a sound one."""
    fault = style_fault(style)
    assert fault is not None
    assert words in fault
    assert "{type}_{Asset}_{map}" in fault.partition("; ")[2]
    assert not re.search(PATTERN, style)


@pytest.mark.parametrize("style", SOUND)
def test_no_two_parts_of_an_asset_share_a_name(style: str) -> None:
    """Eleven things have eleven names, whatever the style and the case; allar's metallic and mask are no exception."""
    assert len({name.casefold() for name in Names("wood_barrel", style).everything()}) == 11


def test_assets_that_differ_by_more_than_capitals_do_not_clash() -> None:
    """Epic names of crate, crate_02, crate_n and create are all different."""
    assert clashes([Names(asset) for asset in ("crate", "crate_02", "crate_n", "create")]) == []


def test_a_clash_is_found_whatever_the_capitals() -> None:
    """With a pattern without underscores the material of i_crate is the material instance of crate."""
    batch = [
        Names("crate", "{type}{Asset}{map}"),
        Names("i_crate", "{type}{Asset}{map}"),
        Names("barrel", "{type}{Asset}{map}"),
    ]
    assert clashes(batch) == [("MICrate", ["crate", "i_crate"])]
    assert clashes([Names("crate"), Names("crAte")])[0][1] == ["crAte", "crate"]


def test_a_batch_whose_names_clash_is_refused_with_both_files(tmp_path: Path) -> None:
    """Both manifests are refused, each naming the other; the third is taken."""
    root = content_folder(tmp_path, "crate", "i_crate", "barrel")
    (root / "forge.yaml").write_text('export: {naming: "{type}{Asset}{map}"}\n')
    found = load_manifests(root)
    assert [manifest.asset for manifest in found.manifests] == ["barrel"]
    assert [(problem.file, problem.code, problem.field) for problem in found.problems] == [
        ("manifests/crate.yaml", "name_clash", "export.naming"),
        ("manifests/i_crate.yaml", "name_clash", "export.naming"),
    ]
    assert "manifests/i_crate.yaml" in found.problems[0].message


def test_a_pattern_in_forge_yaml_reaches_manifests_that_set_none(tmp_path: Path) -> None:
    """The project's pattern holds for all assets; a manifest's own style wins."""
    root = content_folder(tmp_path, "crate", "barrel")
    (root / "forge.yaml").write_text("export: {naming: allar}\n")
    (root / "manifests" / "barrel.yaml").write_text("forge: 1\nplace: {height_cm: 60}\nexport: {naming: epic}\n")
    styles = {manifest.asset: manifest.resolved()["export"]["naming"] for manifest in load_manifests(root).manifests}
    assert styles == {"crate": "allar", "barrel": "epic"}
