from __future__ import annotations

from pathlib import Path

import pytest

from forge_batch.packages.asset import Asset
from forge_batch.packages.engines import ENGINES


@pytest.fixture(scope="module")
def folders(asset: Asset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write what each engine gets of a module's `asset`, flat, into a folder of its own."""
    folders = {}
    for name, engine in ENGINES.items():
        folders[name] = tmp_path_factory.mktemp(name)
        for file, data in engine.files(asset).items():
            (folders[name] / Path(file).name).write_bytes(data)
    return folders
