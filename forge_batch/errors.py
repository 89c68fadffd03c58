"""Name every failure by who must act on it.

A user error and a bug never look alike: everything below is expected and becomes one clear line, anything else is a bug
and keeps its traceback.
"""

from __future__ import annotations

from dataclasses import dataclass


class ForgeError(Exception):
    """Carry a failure as one sentence and, where there is one, what to do about it.

    Args:
        message: What was found and where, one line, no trailing period needed.
        hint: What to write, install or change instead; empty if nothing can be advised.
    """

    code = "error"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}: {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[type[ForgeError], tuple[str, str]]:
        return type(self), (self.message, self.hint)


@dataclass(frozen=True, order=True)
class Problem:
    """Point at one thing wrong with a manifest: where it stands, what was found, what to write instead.

    `line` and `column` count from 1; 0 means that the problem has no place in the file (a missing file, say).
    """

    file: str
    line: int
    column: int
    field: str
    severity: str
    code: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        field = f"{self.field}: " if self.field else ""
        hint = f"; {self.hint}" if self.hint else ""
        return f"{place}: {self.severity}: {field}{self.message}{hint}"


class ManifestError(ForgeError):
    """Ask the author to change a manifest or its images; holds every problem found, not just the first."""

    code = "manifest"

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems

    def __reduce__(self) -> tuple[type[ManifestError], tuple[list[Problem]]]:  # type: ignore[override]
        return ManifestError, (self.problems,)


class StageError(ForgeError):
    """Fail this asset and let the batch go on."""

    code = "stage"


class GateFailed(ForgeError):
    """Refuse a result whose measured quality lies below its gate."""

    code = "gate"


class QuotaExhausted(ForgeError):
    """Wait for the allowance to come back; not a failure."""

    code = "quota"


class ContentError(ForgeError):
    """Report a content folder that cannot be read or written; worth another try later."""

    code = "content"


class BackendUnavailable(ForgeError):
    """Say which weights, package or GPU is missing; the hint is the command that gets it."""

    code = "backend_unavailable"
