"""Read forge.yaml: what holds for every asset of a content folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from forge_batch.errors import ManifestError
from forge_batch.field_errors import problems_of
from forge_batch.quota import PROFILES, Allowance
from forge_batch.yaml_file import read_yaml
from forge_batch.yaml_value import Entry, Place, Value

FILE = "forge.yaml"
_FROZEN = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ProjectFacts(BaseModel):
    """Hold what licences ask about: whether results are sold, and where."""

    model_config = _FROZEN

    commercial: bool = Field(default=False, description="Whether results are sold or used in a product that is.")
    territory: str | None = Field(
        default=None, pattern="^[A-Z]{2}$", description="Country of the project, as two capital letters (ISO 3166), such as DE."
    )


class ExportDefaults(BaseModel):
    """Hold the export options of manifests that set none; checked as the manifest's own."""

    model_config = _FROZEN

    engines: list[str] | None = Field(default=None, min_length=1, description="Engines to make packages for.")
    naming: str | None = Field(default=None, description="Naming convention of what is exported.")


class CustomAllowance(BaseModel):
    """Hold an allowance of one's own."""

    model_config = _FROZEN

    seconds: int = Field(ge=1, le=1_000_000, description="GPU seconds in each period.")
    reset: Literal["first_use", "midnight"] = Field(
        default="midnight", description="When they come back: 24 hours after the first use, or with the calendar day, UTC."
    )


AllowanceName = Literal[
    "unlimited", "none", "seed", "zerogpu-free", "zerogpu-pro", "zerogpu-team", "zerogpu-enterprise", "custom"
]
"""The names in quota.PROFILES, `none` for unlimited, and `custom`."""


class Retry(BaseModel):
    """Hold what may be tried again."""

    model_config = _FROZEN

    seeds: int = Field(
        default=0,
        ge=0,
        le=5,
        description="How many other seeds to try when a quality gate fails; each may cost what the asset costs.",
    )


class Project(BaseModel):
    """Hold the settings of a content folder, every default filled in."""

    model_config = _FROZEN

    forge: Literal[1] = Field(default=1, description="Version of the settings language.")
    project: ProjectFacts = Field(default_factory=ProjectFacts, description="Facts that licences depend on.")
    allowance: AllowanceName = Field(
        default="unlimited",
        description="Profile of the daily GPU allowance; unlimited where nobody counts GPU seconds.",
    )
    custom_allowance: CustomAllowance | None = Field(default=None, description="What allowance: custom stands for.")
    allow_paid_seconds: int = Field(
        default=0,
        ge=0,
        le=86_400,
        description="GPU seconds that may be spent beyond each day's allowance and paid for with credits.",
    )
    retry: Retry = Field(default_factory=Retry, description="What may be tried again.")
    export: ExportDefaults = Field(
        default_factory=ExportDefaults, description="Export options that presets and manifests override."
    )

    @model_validator(mode="after")
    def _check_custom(self) -> Self:
        if (self.allowance == "custom") != (self.custom_allowance is not None):
            raise ValueError(
                "allowance: custom and custom_allowance go together and one of them is missing; "
                "write allowance: custom, and custom_allowance: {seconds: 3600, reset: midnight}"
            )
        return self

    @property
    def profile(self) -> Allowance:
        """The allowance that is counted against."""
        if self.custom_allowance is not None:
            return Allowance("custom", self.custom_allowance.seconds, self.custom_allowance.reset)
        return PROFILES["unlimited" if self.allowance == "none" else self.allowance]

    @property
    def commercial(self) -> bool:
        return self.project.commercial

    @property
    def territory(self) -> str | None:
        return self.project.territory


@dataclass(frozen=True)
class ProjectFile:
    """Be forge.yaml: the settings, and what of it lies below every manifest."""

    project: Project = field(default_factory=Project)
    layer: Value = field(default_factory=lambda: Value(Place(FILE), {}))


def load_project(content: Path) -> Project:
    """Read the settings of a content folder; the defaults if it has no forge.yaml.

    Raises:
        ManifestError: forge.yaml is not what it should be; holds every problem found.
    """
    return read_project(content).project


def read_project(content: Path) -> ProjectFile:
    """Read forge.yaml with the places of what it lays below manifests. Raises like `load_project`."""
    path = content / FILE
    if not path.is_file():
        return ProjectFile()
    tree, problems = read_yaml(path, FILE)
    if tree is not None and tree.content is None:
        return ProjectFile()
    if tree is None and [problem.code for problem in problems] == ["empty_file"]:
        return ProjectFile()
    if tree is not None and not isinstance(tree.content, dict):
        problems.append(
            tree.place.problem("", "wrong_type", f"{FILE} is a mapping of keys", "for example: project: {commercial: true}")
        )
    if tree is None or not isinstance(tree.content, dict):
        raise ManifestError(problems)
    sections = {
        key: Entry(entry.key, Value(entry.value.place, {}))
        if entry.value.content is None and key in {"project", "export", "retry", "custom_allowance"}
        else entry
        for key, entry in tree.content.items()
    }
    tree = Value(tree.place, sections)
    try:
        project = Project.model_validate(tree.plain(), strict=True)
    except ValidationError as error:
        problems += problems_of(error, tree, Project.model_json_schema())
    if problems:
        raise ManifestError(sorted(problems))
    export = {"export": sections["export"]} if "export" in sections else {}
    return ProjectFile(project, Value(tree.place, export))
