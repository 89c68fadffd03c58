"""Help to write manifests: init, new, push, explain, schema."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from forge_batch.commands.contract import FAILED, FINE, USAGE, Add, complain, content_option, json_option, places_of, print_json

T = TypeVar("T")
KINDS = ("prop", "character", "environment")
"""What an asset can be, the likeliest first; a copy of the manifest's words, so that --help need not load the manifest."""


def add_author_commands(add: Add) -> None:
    """Describe what helps to write manifests and to judge what came of them."""
    explain = add(
        "explain", _explain, "say what an asset's manifest or a preset comes down to, and where each value is from",
        "  forge-batch explain teddy_bear\n  forge-batch explain prop_UE5_hero > presets/mine.yaml\n"
        "  forge-batch explain prop_UE5_standard prop_UE5_hero    # the difference",
    )  # fmt: skip
    explain.add_argument("name", metavar="NAME", help="an asset, or a preset")
    explain.add_argument("other", metavar="OTHER", nargs="?", help="another one: print how they differ")
    content_option(explain)
    json_option(explain)

    add("schema", _schema, "print the JSON Schema of a manifest", "  forge-batch schema > manifests/manifest.schema.json")

    init = add(
        "init", _init, "make a content folder, with a commented example",
        "  forge-batch init my_game\n  forge-batch init --hub me/my_game      # a private dataset repo; needs HF_TOKEN",
    )  # fmt: skip
    where = init.add_mutually_exclusive_group(required=True)
    where.add_argument("folder", metavar="DIR", type=Path, nargs="?")
    where.add_argument("--hub", metavar="OWNER/NAME", help="make it in a dataset repo")

    push = add(
        "push", _push, "upload the pictures of an asset and its manifest to a dataset repo, in one commit",
        "  forge-batch push oak_chair/ --content hf://datasets/me/my_game\n"
        "  forge-batch push oak_chair/ --content hf://datasets/me/my_game --kind prop --height-cm 92   # no manifest in it yet",
    )  # fmt: skip
    push.add_argument("folder", metavar="ASSET_DIR", type=Path, help="one to four pictures and, if there is one, their YAML")
    push.add_argument("--kind", choices=KINDS, default=KINDS[0], help="what it is, where it has no manifest yet")
    push.add_argument("--height-cm", metavar="N", type=_height, help="its real height, where it has no manifest yet")
    content_option(push)

    new = add(
        "new", _new, "write the manifest of a new asset from its pictures, and check it",
        "  forge-batch new oak_chair ~/renders/chair_front.png ~/renders/chair_back.png --kind prop --height-cm 92\n"
        "  forge-batch new oak_chair ~/renders/chair/ --height-cm 92          # every picture of a folder\n"
        "  forge-batch new oak_chair a.png b.png --views front,left --height-cm 92",
    )  # fmt: skip
    new.add_argument("asset", metavar="ASSET", help="its name: a-z, 0-9 and _")
    new.add_argument("images", metavar="IMAGE", nargs="+", type=Path, help="one to four pictures, or a folder of them")
    new.add_argument("--kind", choices=KINDS, help="what it is (asked for if left out)")
    new.add_argument("--height-cm", metavar="N", type=_height, help="its real height in centimetres (asked for if left out)")
    new.add_argument("--preset", metavar="NAME", help="the preset to build on (default: by kind)")
    new.add_argument("--views", metavar="V,V", default="", help="front,right,back,left in the order of the pictures")
    content_option(new)


def _explain(options: argparse.Namespace) -> int:
    from forge_batch.explain import difference_json, difference_text, explain, explanation_text, last_run

    root, home = places_of(options)
    one = explain(root, options.name)
    if not options.other:
        said = last_run(home, options.name) if one.what == "asset" else []
        text = "\n".join([*(f"# {line}" for line in said), explanation_text(one)])
        print_json({**one.to_json(), "last_run": said}) if options.json else print(text)
        return FINE
    other = explain(root, options.other)
    print_json(difference_json(one, other)) if options.json else print(difference_text(one, other))
    return FINE


def _schema(_: argparse.Namespace) -> int:
    from forge_batch.manifest import schema

    print_json(schema())
    return FINE


def _init(options: argparse.Namespace) -> int:
    from forge_batch.content.scaffold import init

    if options.hub is None:
        lines = init(options.folder)
    else:
        from forge_batch import settings
        from forge_batch.content.hub_scaffold import init_hub

        lines = init_hub(options.hub, settings.load().hub)
    for line in lines:
        print(line)
    return FINE


def _push(options: argparse.Namespace) -> int:
    from forge_batch import settings
    from forge_batch.push import push

    made = push(options.folder, options.content, settings.load().hub, kind=options.kind, height_cm=options.height_cm)
    for line in made:
        print(line)
    return FINE


def _height(text: str) -> float:
    try:
        height = float(text.removesuffix("cm"))
    except ValueError:
        height = 0.0
    if not 0 < height <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no height; write centimetres, such as 92")
    return height


def _kind(text: str) -> str:
    if text not in {"", *KINDS}:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(KINDS)}")
    return text or KINDS[0]


def _ask(question: str, read: Callable[[str], T]) -> T:
    """Ask on the terminal until the answer can be read; the end of the input is an interruption."""
    while True:
        print(question, end=" ", file=sys.stderr, flush=True)
        try:
            return read(input().strip())
        except argparse.ArgumentTypeError as error:
            complain(str(error))
        except EOFError:
            raise KeyboardInterrupt from None


def _new(options: argparse.Namespace) -> int:
    from forge_batch.content.open import repo_of
    from forge_batch.intake import take_in_files
    from forge_batch.new_manifest import new_asset
    from forge_batch.problem_text import print_problems
    from forge_batch.views_by_name import shown

    if repo_of(options.content):
        complain("new writes into a folder; for a dataset repo: forge-batch push ASSET_DIR --content hf://datasets/OWNER/NAME")
        return USAGE

    kind, height = options.kind, options.height_cm
    if sys.stdin.isatty():
        kind = kind or _ask(f"What is it: {', '.join(KINDS)}? [{KINDS[0]}]", _kind)
        height = height or _ask("How high is it in reality, in centimetres?", _height)
    if height is None:
        complain("the real height is needed: --height-cm 92")
        return USAGE
    named = [view for view in options.views.split(",") if view]
    content = Path(options.content)
    made = new_asset(
        content, options.asset, options.images,
        kind=kind or KINDS[0], height_cm=height, preset=options.preset, named=named,
    )  # fmt: skip
    print(f"made {made.manifest} ({shown(made.views)})")
    intake = take_in_files(content, [made.manifest])
    print_problems(intake.problems, "text", content, intake.files)
    return FAILED if intake.errors else FINE
