"""The Manifest: what an author asks of one asset. One field for each stage, typed by that stage's params.

The fields come from STAGES, so a stage that is added there can be set in manifests without an edit here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self, TypeVar, cast

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    StringConstraints,
    WithJsonSchema,
    create_model,
    field_validator,
)

from forge_batch import presets
from forge_batch.errors import ManifestError, Problem
from forge_batch.image_sets import View, find_images
from forge_batch.stage import Stage, StageParams
from forge_batch.stages import STAGES
from forge_batch.yaml_value import Entry, Place, Value, resolve

MAX_NAME = 48
RESERVED = ("con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10)))
"""Names that Windows keeps for devices, whatever their suffix."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")
P = TypeVar("P", bound=StageParams)

TIMING = ("priority", "deadline")
"""Fields that say when an asset is worked on, and nothing about what is made: changing them never runs anything again."""

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_OTHER_DATE = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", re.ASCII)


def _read_date(value: Any) -> Any:
    """Read a date as it stands in a file, where dates are text."""
    if isinstance(value, date):
        return value
    shown = f'"{value[:40]}"' if isinstance(value, str) else str(value).lower()[:40]
    example = "2026-12-24"
    if isinstance(value, str):
        if found := _OTHER_DATE.fullmatch(value.strip()):
            day, month, year = found.groups()
            example = f"{year}-{month:0>2}-{day:0>2}"
        elif _DATE.fullmatch(value):
            try:
                return date.fromisoformat(value)
            except ValueError as error:
                raise ValueError(f"{shown} is no day of the calendar ({error}); write a date such as {example}") from None
    raise ValueError(f"found {shown}; write a date as year-month-day, such as {example}")


Day = Annotated[
    date, BeforeValidator(_read_date), WithJsonSchema({"type": "string", "format": "date", "pattern": f"^{_DATE.pattern}$"})
]

ImagePath = Annotated[str, StringConstraints(min_length=1, max_length=240)]


class Manifest(BaseModel):
    """Hold what is asked of one asset, every default filled in.

    Made by `forge_batch.manifest.load_manifest`; beside the fields below it has one for each stage, by the stage's name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    forge: Literal[1] = Field(description="Version of the manifest language.", examples=[1])
    asset: str = Field(
        description="Name of the asset, lower_snake; names its job, its exports and the objects in the package. Left out: the "
        "name of the file.",
        examples=["wooden_crate"],
        json_schema_extra={"pattern": f"^{_NAME.pattern}$", "not": {"enum": list(RESERVED)}},
    )
    preset: str = Field(
        default=presets.DEFAULT, description="Preset that this manifest builds on.", examples=["prop_UE5_hero"], min_length=1
    )
    kind: Literal["prop", "character", "environment"] = Field(default="prop", description="What the asset is.")
    images: ImagePath | dict[View, ImagePath] = Field(
        description="Folder below inbox/ whose files are named after the views; or, for each view, the path of a file below "
        "inbox/. One to four of front, right, back, left, named as the viewer sees them. Left out: the asset's name.",
        examples=["wooden_crate", {"front": "crates/a_front.png", "back": "crates/a_back.png"}],
    )
    seed: int = Field(default=0, ge=0, le=2**32 - 1, description="The only source of randomness.")
    priority: int = Field(default=50, ge=0, le=100, description="Assets with a higher number are worked on first.")
    deadline: Day | None = Field(
        default=None,
        description="Last day on which it is of use, UTC; in the week before, it becomes more urgent every day. Another date "
        "makes nothing anew.",
        examples=["2026-12-24"],
    )
    notes: str = Field(
        default="",
        max_length=10_000,
        description="Free text for people; goes into the package.",
        examples=["The lid stays closed."],
    )

    _file: str = PrivateAttr(default="")
    _images: Value | None = PrivateAttr(default=None)
    _origins: Mapping[str, str] = PrivateAttr(default_factory=dict)
    _asset_place: tuple[int, int] = PrivateAttr(default=(0, 0))
    _places: Mapping[str, Place] = PrivateAttr(default_factory=dict)
    _seen: dict[str, Path] = PrivateAttr(default_factory=dict)
    _warnings: tuple[Problem, ...] = PrivateAttr(default=())

    @field_validator("forge", mode="before")
    @classmethod
    def _check_version(cls, version: Any) -> Any:
        if version is True:  # equal to 1 for Python, not for an author
            raise ValueError("found true; write 1")
        return version

    @field_validator("asset")
    @classmethod
    def _check_asset(cls, name: str) -> str:
        if fault := name_fault(name):
            raise ValueError("; ".join(fault))
        return name

    @property
    def file(self) -> str:
        """The file it was read from, relative to the content folder where it lies inside."""
        return self._file

    @property
    def origins(self) -> Mapping[str, str]:
        """Where each value came from, by dotted field: `file:line`, a preset's name, or `default`."""
        return MappingProxyType(dict(self._origins))

    @property
    def asset_place(self) -> tuple[int, int]:
        """Line and column of the asset's name in the file; zeros if the file's name is the asset's."""
        return self._asset_place

    def place_of(self, field: str) -> Place:
        """Point at where the file writes a dotted field; at the file as a whole if the value comes from elsewhere."""
        return self._places.get(field, Place(self._file))

    def image_place(self, view: str | None = None) -> tuple[int, int]:
        """Give line and column where the file names a view's picture, or all of them; zeros where it does not name them."""
        if self._images is None:
            return 0, 0
        place, entries = self._images.place, self._images.content
        if isinstance(entries, dict) and view in entries:
            place = entries[view].value.place
        # a preset may name the images; its lines are not the manifest's
        return (place.line, place.column) if place.file == self._file else (0, 0)

    def read_from(
        self,
        file: str,
        asset_place: tuple[int, int],
        images: Value,
        origins: Mapping[str, str],
        places: Mapping[str, Place],
        warnings: Sequence[Problem],
    ) -> Self:
        """Say where the values were read from and what was seen on the way; for the loader, once."""
        self._warnings, self._places = tuple(warnings), dict(places)
        self._file, self._asset_place, self._images, self._origins = file, asset_place, images, dict(origins)
        return self

    def seen(self, files: Mapping[str, Path]) -> Self:
        """Keep the files that were found while the manifest was loaded; for the loader, once."""
        self._seen = dict(files)
        return self

    @property
    def files(self) -> Mapping[str, Path]:
        """The images as they were found when the manifest was loaded, in the form of `image_paths`; empty if nobody looked."""
        return MappingProxyType(self._seen)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What will probably disappoint, though it can be done."""
        return self._warnings

    def params(self, stage: Stage[P]) -> P:
        """Give what the manifest says to a stage."""
        return cast("P", getattr(self, stage.name))

    def on(self, stage: Stage[Any]) -> bool:
        """Tell whether a stage runs for this asset."""
        return bool(getattr(self, stage.name).on)

    def resolved(self) -> dict[str, Any]:
        """Give the manifest as plain data with every default filled in; the same for the same wishes."""
        return self.model_dump(mode="json")

    def made_from(self) -> dict[str, Any]:
        """Give all that decides what is made, as plain data: the resolved manifest without its TIMING."""
        values = {field: value for field, value in self.resolved().items() if field not in TIMING}
        stages = {field: value for field in values if isinstance(value := getattr(self, field), StageParams)}
        return {**values, **{field: params.made_from() for field, params in stages.items()}}

    def to_yaml(self) -> str:
        """Write the resolved manifest as YAML that reads back to the same manifest."""
        return as_yaml(self.resolved())

    def image_paths(self, content: Path) -> dict[str, Path]:
        """Find the images.

        Returns:
            Files by view name, plus `camera` and `license` where they lie beside the images.

        Raises:
            ManifestError: A file is missing, unknown, or reached through a link that leaves inbox/.
        """
        value = self._images or value_of(self.resolved()["images"], Place(self._file))
        found = find_images(value, content)
        if found.problems:
            raise ManifestError(sorted(found.problems))
        return found.paths


class ManifestDumper(yaml.SafeDumper):
    """Quotes every text that our reader, or one of YAML 1.1, would take for something else."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    try:
        plain = isinstance(resolve(text), str)
    except ValueError:
        plain = False
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, None if plain and text.isprintable() else '"')


ManifestDumper.add_representer(str, _represent_text)


def as_yaml(values: Mapping[str, Any]) -> str:
    """Write plain data as YAML that our reader reads back to the same."""
    text: str = yaml.dump(values, Dumper=ManifestDumper, sort_keys=False, allow_unicode=True, width=120)
    return text


def value_of(data: Any, place: Place) -> Value:
    """Give plain data the form of what a file holds, all of it at one place."""
    if isinstance(data, dict):
        return Value(place, {key: Entry(place, value_of(item, place)) for key, item in data.items()})
    if isinstance(data, (list, tuple)):
        return Value(place, tuple(value_of(item, place) for item in data))
    return Value(place, data)


def clean_name(name: str) -> str:
    """Make an asset name out of any text: `Große Kiste 2` becomes `grosse_kiste_2`."""
    plain = unicodedata.normalize("NFKD", name[:200].replace("ß", "ss")).encode("ascii", "ignore").decode().strip()
    if plain and not re.search(r"[a-z]", plain):
        plain = plain.lower()
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", plain).lower()
    words = re.sub(r"[^a-z0-9]+", "_", words).strip("_")
    if not words or not words[0].isalpha() or words in RESERVED:
        words = f"asset_{words}".rstrip("_")
    return words[:MAX_NAME].rstrip("_")


def name_fault(name: str) -> tuple[str, str] | None:
    """Say what is wrong with an asset name and what to write instead; None if it is fine."""
    shown = "".join(char if char.isprintable() else " " for char in name[:60])
    if _NAME.fullmatch(name) and name not in RESERVED:
        return None
    if not name:
        return "the name is empty", "write a name such as wooden_crate"
    if name in RESERVED:
        return f'"{shown}" is a device name on Windows, where no file can have it', f"write {clean_name(name)}"
    if re.search(r"[/\\]", name):
        fault = "is a path, not a name"
    elif not name.isascii():
        fault = f"holds {next(char for char in name if not char.isascii())!a}, which is not a-z, 0-9 or _"
    elif re.search(r"\s", name):
        fault = "holds a space"
    elif len(name) > MAX_NAME:
        fault = f"is {len(name)} characters long, at most {MAX_NAME}"
    elif re.fullmatch(r"[A-Za-z0-9_]+", name) and name != name.lower():
        fault = "holds capital letters"
    elif not name[0].isalpha():
        fault = "does not begin with a letter"
    else:
        bad = next(char for char in name if not re.match(r"[a-z0-9_]", char))
        fault = f"holds {bad!r}, which is not a-z, 0-9 or _"
    return f'"{shown}" {fault}', f"write {clean_name(name)}"


def title(asset: str) -> str:
    """Give the PascalCase name that an asset has in the engine: `wooden_crate` becomes `WoodenCrate`."""
    return "".join(word[:1].upper() + word[1:] for word in asset.split("_"))


def manifest_model(stages: Sequence[Stage[Any]]) -> type[Manifest]:
    """Build the Manifest for a series of stages, one field for each."""
    fields: dict[str, Any] = {stage.name: (stage.params, Field(description=stage_description(stage))) for stage in stages}
    return create_model("ManifestDocument", __base__=Manifest, __module__=__name__, **fields)


def stage_description(stage: Stage[Any]) -> str:
    """Give the first line of what a stage's params class says about itself."""
    doc = (stage.params.__doc__ or "").strip()
    return doc.splitlines()[0] if doc and stage.params.__doc__ != StageParams.__doc__ else f"Options of {stage.name}."


ManifestDocument = manifest_model(STAGES)
