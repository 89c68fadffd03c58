"""Take in a content folder: which assets can be worked on, and everything that is wrong with the others.

`validate`, `plan` and `run` all begin here, so they say the same things.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from forge_batch.advice import density_advice
from forge_batch.errors import ContentError, ManifestError, Problem
from forge_batch.manifest import Manifest, load_manifest, load_manifests
from forge_batch.plan import InputImage
from forge_batch.project import load_project


@dataclass(frozen=True)
class Order:
    """Be an asset whose manifest and images are sound."""

    manifest: Manifest
    images: Mapping[str, InputImage]
    retry_seeds: int = 0
    priority: int = 50

    def with_priority(self, instead: Mapping[str, int]) -> Order:
        """Give the order with another priority than the manifest's, if there is one by its name."""
        return replace(self, priority=instead.get(self.manifest.asset, self.priority))


@dataclass(frozen=True)
class Intake:
    """Be what a content folder asks for.

    Attributes:
        orders: Sound assets: the highest priority first, then the next deadline, then by name.
        problems: Everything found, errors and warnings.
        files: How many manifests were read.
    """

    orders: tuple[Order, ...]
    problems: tuple[Problem, ...]
    files: int

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity == "error")

    @property
    def by_asset(self) -> dict[str, tuple[Problem, ...]]:
        """Problems by the asset they speak of: that of the manifest, else what the file's name says."""
        assets = {order.manifest.file: order.manifest.asset for order in self.orders}
        groups: dict[str, tuple[Problem, ...]] = {}
        for problem in sorted(self.problems):
            name = assets.get(problem.file) or Path(problem.file).stem
            groups[name] = (*groups.get(name, ()), problem)
        return groups


def take_in(root: Path, asset: str | None = None) -> Intake:
    """Read every manifest of a content folder, or that of one asset, and look at its images.

    Raises:
        ContentError: No asset has that name.
    """
    loaded = load_manifests(root)
    problems = list(loaded.problems)
    manifests = loaded.manifests
    if asset is not None:
        manifests = [manifest for manifest in manifests if manifest.asset == asset]
        problems = [problem for problem in problems if Path(problem.file).stem == asset]
        if not manifests and not problems:
            known = ", ".join(manifest.asset for manifest in loaded.manifests) or "there is none"
            raise ContentError(f"no manifest makes an asset named {asset}", f"known assets: {known}")
    orders, found = _look_at(manifests, root, whole=asset is None)
    problems += found
    orders.sort(key=lambda order: (-order.manifest.priority, order.manifest.deadline or date.max, order.manifest.asset))
    broken = {problem.file for problem in problems if problem.severity == "error"}
    return Intake(tuple(orders), tuple(problems), len({manifest.file for manifest in manifests} | broken))


def take_in_files(root: Path, paths: Sequence[Path]) -> Intake:
    """Read some manifests by path, and look at their images."""
    manifests, problems = [], []
    for path in paths:
        try:
            manifests.append(load_manifest(path, root))
        except ManifestError as error:
            problems += error.problems
        else:
            problems += manifests[-1].warnings
    orders, found = _look_at(manifests, root, whole=False)
    return Intake(tuple(orders), (*problems, *found), len(paths))


def _look_at(manifests: Sequence[Manifest], root: Path, *, whole: bool) -> tuple[list[Order], list[Problem]]:
    """Check and hash the images of manifests, those of all of them at once."""
    from forge_batch.picture_checks import check_pictures  # noqa: PLC0415 - decodes images; not every command needs it

    checked = check_pictures(root, [manifest.files for manifest in manifests], whole=whole)
    problems: list[Problem] = []
    orders = []
    seeds = _retry_seeds(root)
    for manifest, result in zip(manifests, checked, strict=True):
        problems += [_placed(problem, manifest) for problem in result.problems]
        problems += density_advice(manifest.resolved(), result.extents, manifest.place_of)
        if not any(problem.severity == "error" for problem in result.problems):
            images = {name: InputImage(path, result.hashes[name]) for name, path in manifest.files.items()}
            orders.append(Order(manifest, images, seeds, manifest.priority))
    return orders, problems


def _retry_seeds(root: Path) -> int:
    """Read how many seeds may be tried; where forge.yaml is wrong no asset is worked on anyway."""
    try:
        return load_project(root).retry.seeds
    except ManifestError:
        return 0


def _placed(problem: Problem, manifest: Manifest) -> Problem:
    """Point at where the manifest names the picture."""
    line, column = manifest.image_place(problem.field.removeprefix("images").removeprefix(".") or None)
    return replace(problem, file=manifest.file, line=line, column=column)
