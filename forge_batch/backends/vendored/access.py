"""Ask the hub who we are and what we may read; a silent hub is said so and is no error."""

from __future__ import annotations

from dataclasses import dataclass

from forge_batch.backends.vendored.origins import HUB, access
from forge_batch.backends.vendored.pins import Source

TOKEN = "make a token at https://huggingface.co/settings/tokens and set HF_TOKEN to it"  # noqa: S105 - says where one is made


@dataclass(frozen=True)
class Account:
    """Say whose token is used: `name` is empty if none works, `found` says why, `command` what to do.

    `answers` says whether the hub can be asked for anything.
    """

    name: str
    found: str
    command: str = ""
    answers: bool = True


def hub_account(endpoint: str | None = None) -> Account:
    """Ask whose token this is.

    Args:
        endpoint: Address of the hub; None for HF_ENDPOINT or the official one.
    """
    try:
        from huggingface_hub import HfApi, get_token  # noqa: PLC0415
    except ImportError:
        return Account("", "huggingface_hub is not installed", HUB, answers=False)
    if not get_token():
        return Account("", "no token: gated and private models cannot be read", TOKEN)
    try:
        name = HfApi(endpoint=endpoint).whoami()["name"]
    except Exception as error:  # noqa: BLE001 - whatever goes wrong on the way to the hub is the finding
        if _status(error) == 401:
            return Account("", "the hub refuses this token", TOKEN)
        return Account("", f"the hub does not answer ({type(error).__name__})", answers=False)
    return Account(name, f"token of {name}")


def readable(source: Source, endpoint: str | None = None) -> tuple[str, str] | None:
    """Say why a repository cannot be read at its pinned revision with this token, and what to do; None if it can."""
    from huggingface_hub import HfApi  # noqa: PLC0415
    from huggingface_hub.errors import RevisionNotFoundError  # noqa: PLC0415

    hub = HfApi(endpoint=endpoint)
    try:
        hub.auth_check(source.repo)
        hub.model_info(source.repo, revision=source.revision)
    except RevisionNotFoundError:
        return f"it has no revision {source.revision}", "correct its revision in vendor.toml"
    except Exception as error:  # noqa: BLE001 - whatever goes wrong on the way to the hub is the finding
        if _status(error) in {401, 403, 404}:
            return ("gated" if source.gated else "it is private, or not there"), access(source)
        return f"the hub does not answer ({type(error).__name__})", ""
    return None


def _status(error: Exception) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)
