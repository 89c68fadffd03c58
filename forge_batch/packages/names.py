"""Name what goes into a package, in the style that a project keeps.

A style is `epic` (`SM_Crate`, `T_Crate_BC`), `allar` (`S_Crate`, `T_Crate_D`, after the Gamemakin style guide), or a pattern of
`{type}`, `{Asset}` or `{asset}`, and `{map}`, such as `MyGame_{type}_{Asset}_{map}`, filled with epic's words. Where a name has
no map, the underscore beside `{map}` goes as well.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from types import MappingProxyType

from forge_batch.artifacts import PACKAGES
from forge_batch.jobs import TaskRecord

RESULT, REJECTED = "export", "rejected"
"""Words that the names of packages begin with: of a result, and of what a gate refused."""

PATTERN = (
    r"^(epic|allar|(?=.*\{type\})(?=.*\{([Aa])sset\})(?=.*\{map\})"
    r"(?!.*(\{(type|map)\}).*\3)(?!.*\{[Aa]sset\}.*\{[Aa]sset\})([A-Za-z0-9_]|\{(type|[Aa]sset|map)\}){1,64})$"
)
"""Form of a style; the same to Python and to JSON Schema."""

EPIC = MappingProxyType(
    {
        "mesh": "SM",
        "skeletal_mesh": "SK",
        "material": "M",
        "material_instance": "MI",
        "texture": "T",
        "base_color": "BC",
        "normal": "N",
        "orm": "ORM",
        "occlusion": "AO",
        "roughness": "R",
        "metallic": "M",
        "mask": "MODS",
    }
)
"""Words of a name by what it names. MODS: metallic, occlusion, detail, smoothness, as Unity's mask map stacks them."""

ALLAR = MappingProxyType({**EPIC, "mesh": "S", "base_color": "D", "occlusion": "O"})
STYLES = {"epic": ("{type}_{Asset}_{map}", EPIC), "allar": ("{type}_{Asset}_{map}", ALLAR)}


def pascal(asset: str) -> str:
    """Turn an asset's name into the form engines use: `wood_barrel` becomes `WoodBarrel`."""
    return "".join(part[:1].upper() + part[1:] for part in asset.split("_"))


def package_name(asset: str, engine: str, word: str = RESULT) -> str:
    """Give the file name of an asset's package for an engine."""
    return f"{word}_{pascal(asset)}_{engine.upper()}.zip"


def style_fault(style: str) -> str | None:
    """Say what is wrong with a style and, after a semicolon, what to write instead; None if it is fine."""
    if re.fullmatch(PATTERN, style):
        return None
    advice = "write epic, allar, or a pattern such as {type}_{Asset}_{map}"
    for word in ("{type}", "{map}"):
        if style.count(word) != 1:
            return f'"{style[:64]}" must hold {word} once, to tell the files of an asset apart; {advice}'
    if len(re.findall(r"\{[Aa]sset\}", style)) != 1:
        return f'"{style[:64]}" must hold {{Asset}} or {{asset}} once, to tell assets apart; {advice}'
    return f'"{style[:64]}" holds more than A-Z, a-z, 0-9, _ and the words in braces; {advice}'


def packages_in(asset: str, record: TaskRecord, word: str = RESULT) -> dict[str, str]:
    """Name the packages that an export made, and say which file of its task each one is; REJECTED are no results."""
    made = {artifact.slot: artifact.path for artifact in record.outputs}
    return {package_name(asset, engine, word): made[slot.name] for engine, slot in PACKAGES.items() if slot.name in made}


@dataclass(frozen=True)
class Names:
    """Give the names of an asset's parts.

    Attributes:
        asset: Its name, `lower_snake`.
        style: `epic`, `allar` or a pattern.
        atlases: How many sets of textures it may have at most.
        number: Which of several it names, from 1: it stands behind the asset's name, as in `T_Crate_01_BC`; 0 where there is
            but one.
    """

    asset: str
    style: str = "epic"
    atlases: int = 1
    number: int = 0

    @property
    def mesh(self) -> str:
        return self._fill("mesh")

    @property
    def skeletal_mesh(self) -> str:
        return self._fill("skeletal_mesh")

    @property
    def material(self) -> str:
        return self._fill("material")

    @property
    def material_instance(self) -> str:
        return self._fill("material_instance")

    def texture(self, kind: str) -> str:
        """Name a texture by what it holds: base_color, normal, orm, occlusion, roughness, metallic or mask."""
        return self._fill("texture", kind)

    def _fill(self, thing: str, kind: str = "") -> str:
        pattern, words = STYLES.get(self.style, (self.style, EPIC))
        if not kind:
            pattern = pattern.replace("_{map}", "").replace("{map}_", "").replace("{map}", "")
        word = words[kind] if kind else ""
        which = f"_{self.number:02d}" if self.number else ""
        return pattern.format(type=words[thing], Asset=pascal(self.asset) + which, asset=self.asset + which, map=word)

    def everything(self) -> frozenset[str]:
        """Give every name that may become a file or an asset in an engine's project."""
        kinds = ("base_color", "normal", "orm", "occlusion", "roughness", "metallic", "mask")
        found = {self.mesh, self.skeletal_mesh}
        for names in (self, *(replace(self, number=number) for number in range(1, self.atlases + 1) if self.atlases > 1)):
            found |= {names.material, names.material_instance, *(names.texture(kind) for kind in kinds)}
        return frozenset(found)


def clashes(batch: Collection[Names]) -> list[tuple[str, list[str]]]:
    """Find names that several assets would share where capitals do not count (Windows, and Unreal's content browser).

    Returns:
        One such name and the assets that want it, for each group of assets, sorted.
    """
    wanted: dict[str, dict[str, str]] = {}
    for names in batch:
        for name in names.everything():
            wanted.setdefault(name.casefold(), {})[names.asset] = name
    groups: dict[tuple[str, ...], str] = {}
    for owners in wanted.values():
        if len(owners) > 1:
            key = tuple(sorted(owners))
            groups[key] = min(groups.get(key, owners[key[0]]), owners[key[0]])
    return [(name, list(assets)) for assets, name in sorted(groups.items())]
