"""Judge and show packages: check, render."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from forge_batch.commands.contract import FAILED, FINE, Add, content_option, json_option, print_json, root_of


def add_package_commands(add: Add) -> None:
    """Describe what looks at packages."""
    check = add(
        "check", _check, "run the gates on a package that exists",
        "  forge-batch check exports/horse/export_Horse_UE5.zip\n  forge-batch check thing.glb --json",
    )  # fmt: skip
    check.add_argument("package", metavar="PACKAGE.zip|MESH", type=Path)
    json_option(check)

    render = add(
        "render", _render, "draw a package: a turntable, and the input pictures over the result, as PNG",
        "  forge-batch render exports/horse/export_Horse_UE5.zip\n"
        "  forge-batch render exports/horse/export_Horse_WEB.zip --out pictures/ --frames 72 --size 1024",
    )  # fmt: skip
    render.add_argument("package", metavar="PACKAGE.zip", type=Path)
    render.add_argument("--out", metavar="DIR", type=Path, help="where the pictures go (default: PACKAGE_render/)")
    render.add_argument("--frames", metavar="N", type=_number(1, 360), default=24, help="pictures of a full turn (default: 24)")
    render.add_argument("--size", metavar="PX", type=_number(64, 4096), default=512, help="their edge in pixels (default: 512)")
    content_option(render)


def _number(least: int, most: int) -> Callable[[str], int]:
    """Read a whole number within bounds."""

    def read(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} to {most}")
        return int(text)

    return read


def _check(options: argparse.Namespace) -> int:
    from forge_batch.check import check

    verdict = check(options.package)
    if options.json:
        print_json(verdict.to_json())
    else:
        print(verdict.to_text())
    return FINE if verdict.ok else FAILED


def _render(options: argparse.Namespace) -> int:
    from forge_batch.render_package import render_package

    for path in render_package(options.package, root_of(options), options.out, options.frames, options.size):
        print(path)
    return FINE
