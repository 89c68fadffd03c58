"""Name what goes into a package."""

from __future__ import annotations


def pascal(asset: str) -> str:
    """Turn an asset's name into the form engines use: `wood_barrel` becomes `WoodBarrel`."""
    return "".join(part[:1].upper() + part[1:] for part in asset.split("_"))


def package_name(asset: str, engine: str) -> str:
    """Give the file name of an asset's package for an engine."""
    return f"export_{pascal(asset)}_{engine.upper()}.zip"
