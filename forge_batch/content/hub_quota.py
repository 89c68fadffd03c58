"""Ask Hugging Face what is left of an account's ZeroGPU allowance."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from forge_batch.quota import Reading

PATH = "/api/spaces/zero-gpu/quota"


def read_quota(token: str, endpoint: str = "https://huggingface.co") -> Reading | None:
    """Read the quota endpoint, which the Hub's client library has no function for yet.

    Args:
        token: Of the account; reading is enough.
        endpoint: Address of the Hub.

    Returns:
        What it said; None if it did not answer, or with something else: then the ledger must do.
    """
    import httpx2
    from huggingface_hub import get_session

    now = datetime.now(UTC)
    try:
        answer = get_session().get(f"{endpoint}{PATH}", headers={"Authorization": f"Bearer {token}"}, timeout=10)
        answer.raise_for_status()
        return _reading(answer.json(), now)
    except (httpx2.HTTPError, OSError, ValueError, KeyError, TypeError):
        return None


def _reading(document: dict[str, Any], now: datetime) -> Reading:
    return Reading(
        base=int(document["base"]),
        current=int(document["current"]),
        resets_at=datetime.fromisoformat(document["resetsAt"]) if document.get("resetsAt") else None,
        paid=int(document.get("overquotaUsed") or 0),
        at=now,
    )
