"""List what is told about the generators of this installation, without importing them: a dry run must start fast."""

from __future__ import annotations

from forge_batch.backends.contract import BackendInfo

CATALOG = {
    info.name: info for info in (BackendInfo(name="hull", revision="1", licence="MIT", commercial=True, territory="worldwide"),)
}
