"""Check array shapes on every call of ops during tests, and share what tests share."""

from __future__ import annotations

from jaxtyping import install_import_hook

_hook = install_import_hook("forge_batch.ops", "beartype.beartype")
