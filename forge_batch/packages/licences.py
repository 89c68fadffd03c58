"""Say what made an asset, and whether and where it may be used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def may_sell(source: Mapping[str, Any]) -> str:
    """Say in one sentence whether and where results of the generator may be used."""
    sold = "may be sold" if source["commercial"] else "must not be sold or used in anything sold"
    return f"As far as the generator goes, this asset {sold}; territory: {source['territory']}."


def licences_text(
    asset: str,
    source: Mapping[str, Any],
    cutouts: Mapping[str, Any],
    images_licence: str | None,
    rig: Mapping[str, Any] | None = None,
    bakes: Sequence[str] = (),
) -> str:
    """Write LICENSES.txt.

    Args:
        asset: Name of the asset.
        source: Meta of the SOURCE_MESH slot: backend, revision, licence, commercial, territory, seed.
        cutouts: Meta of the CUTOUTS slot: methods by view, and the matting model if one was used.
        images_licence: Text of the image set's LICENSE.txt, if it has one.
        rig: Facts of the RIG slot, if there is one.
        bakes: Stages that used nvdiffrast.
    """
    model = cutouts.get("model")
    lines = [
        f"What made {asset}, and under which terms",
        "",
        may_sell(source),
        "",
        f"Generator        {source['backend']} ({source['revision']}), {source['licence']}, {source['territory']}",
        f"Seed             {source['seed']}",
        f"Background       {_methods(cutouts)}",
    ]
    if model:
        lines.append(f"Matting model    {model['name']}, {model['licence']}")
    if rig:
        lines.append(f"Rig              {rig['backend']} ({rig['revision']}), {rig['licence']}, {rig['territory']}")
    if bakes:
        lines.append(f"Rasteriser       nvdiffrast, NVIDIA's licence: research and evaluation only ({', '.join(bakes)})")
    lines += [
        "Finishing        forge_batch, MIT: geometry, UVs, maps, hulls and files. It claims no right in what it makes.",
        "",
        "Input images",
        "------------",
        images_licence.strip()
        if images_licence
        else "No LICENSE.txt lies beside the images. Their rights are the author's to know.",
        "",
    ]
    return "\n".join(lines)


def _methods(cutouts: Mapping[str, Any]) -> str:
    return ", ".join(f"{view}: {method}" for view, method in sorted(cutouts["methods"].items()))
