"""Find assets of a batch that would overwrite each other's files in the engine's project."""

from __future__ import annotations

from collections.abc import Sequence

from forge_batch.errors import Problem
from forge_batch.manifest_model import Manifest
from forge_batch.packages.names import Names, clashes
from forge_batch.yaml_value import Place


def without_clashes(manifests: Sequence[Manifest]) -> tuple[list[Manifest], list[Problem]]:
    """Refuse all manifests that share a name of a file or an engine's asset, capitals aside; nothing says which may have it."""
    by_asset = {manifest.asset: manifest for manifest in manifests}
    wishes = {asset: manifest.resolved() for asset, manifest in by_asset.items()}
    problems = []
    refused: set[str] = set()
    batch = [Names(asset, wish["export"]["naming"], wish["unwrap"]["atlases"]) for asset, wish in wishes.items()]
    for name, assets in clashes(batch):
        refused.update(assets)
        for asset in assets:
            others = ", ".join(by_asset[other].file for other in assets if other != asset)
            message = f"{name} would also be made for {others}, and Windows and Unreal ignore capitals"
            hint = "rename one of the assets, or set another export.naming"
            place = Place(by_asset[asset].file, *by_asset[asset].asset_place)
            problems.append(place.problem("export.naming", "name_clash", message, hint))
    return [manifest for manifest in manifests if manifest.asset not in refused], problems
