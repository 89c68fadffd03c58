"""Stand in for transformers without flash_attn."""

from __future__ import annotations


class AutoModelForCausalLM:
    """Build models."""

    @classmethod
    def from_config(cls, config: object, attn_implementation: str) -> str:
        """Refuse what is not installed, as the real one does."""
        assert config is not None
        if attn_implementation != "sdpa":
            raise ImportError("the package flash_attn seems to be not installed")
        return "a model"
