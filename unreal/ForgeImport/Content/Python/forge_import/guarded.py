"""Set properties of Unreal's objects and make sure that they were set.

Names drift between versions and setters can be silent: every value is read back, and a name that is not there is an error that
says what was tried.
"""

from __future__ import annotations

from typing import Any


class SettingFailed(Exception):
    """Say which property would not take which value."""


def set_checked(target: Any, name: str, value: Any) -> None:
    """Set a property and read it back.

    Raises:
        SettingFailed: The property does not exist, refuses the value, or holds another one afterwards.
    """
    set_first(target, ((name, value),))


def set_first(target: Any, choices: tuple[tuple[str, Any], ...]) -> str:
    """Set the first of several properties that exists, newest version first, and read it back.

    Returns:
        The name that was set.

    Raises:
        SettingFailed: None exists, or the one that does holds another value afterwards.
    """
    reasons = []
    for name, value in choices:
        try:
            target.set_editor_property(name, value)
            found = target.get_editor_property(name)
        except Exception as error:  # noqa: BLE001 - Unreal raises bare Exception for a name it does not have
            reasons.append(f"{name}: {error}")
            continue
        if not same(found, value):
            raise SettingFailed(f"{_named(target)}.{name} was set to {value!r} and reads back as {found!r}.")
        return name
    raise SettingFailed(f"{_named(target)} takes none of these: {'; '.join(reasons)}.")


def same(found: Any, value: Any) -> bool:
    """Tell whether a value that was read back is the one that was set; numbers may differ in the seventh digit."""
    if isinstance(value, float) and not isinstance(found, bool):
        return abs(float(found) - value) <= 1e-6 * max(1.0, abs(value))
    return bool(found == value)


def _named(target: Any) -> str:
    return type(target).__name__
