"""Write requirements.txt for a Space: what the page needs on Python 3.12, at the locked versions.

Gradio is the Space's SDK, named in README.md, and the platform brings `spaces` and the client itself: a second pin of them
fails the build. Where a Space's own needs go further (torch, wheels of learned backends), see docs/deploy.md.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PLATFORM = {"gradio", "gradio-client", "spaces"}
EXTRAS = ("matting", "hub", "page", "gpu")
SPACE = {"python_full_version": "3.12.12", "python_version": "3.12", "sys_platform": "linux", "platform_system": "Linux"}


def locked() -> dict[str, str]:
    """Give the versions that count on a Space, by name: those of the page, and of what only tests have beside them (Warp)."""
    found = {}
    text = "\n".join((ROOT / "requirements" / f"{name}.txt").read_text() for name in ("dev", "page"))
    for line in re.findall(r"^[a-z0-9].*?==.*", text, re.MULTILINE):
        requirement = Requirement(line.rstrip(" \\"))
        if requirement.marker is None or requirement.marker.evaluate(SPACE):
            found[canonicalize_name(requirement.name)] = str(requirement.specifier)
    return found


def requirements() -> str:
    """Give the text of requirements.txt."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(one for extra in EXTRAS for one in project["optional-dependencies"][extra])]
    names = sorted({canonicalize_name(Requirement(one).name) for one in wanted} - PLATFORM)
    pins = locked()
    lines = [f"{name}{pins[name]}" for name in names]
    oauth = [f"{name}{pins[name]}" for name in ("authlib", "itsdangerous")]  # for logging in: gradio[oauth]
    return "# Written by requirements/space.py; `make locks` does it anew.\n" + "\n".join(sorted([*lines, *oauth])) + "\n"


if __name__ == "__main__":
    sys.stdout.write(requirements())
