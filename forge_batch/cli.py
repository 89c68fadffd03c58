"""Parse, call, print. No decisions; imports nothing heavy before it knows the command."""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from forge_batch.errors import ForgeError

Command = Callable[[argparse.Namespace], int]
Add = Callable[[str, Command, str, str], argparse.ArgumentParser]

T = TypeVar("T")
KINDS = ("prop", "character", "environment")
"""What an asset can be, the likeliest first; a copy of the manifest's words, so that --help need not load the manifest."""

FINE, FAILED, USAGE, BUG, INTERRUPTED = 0, 1, 2, 3, 130

EXAMPLES = """examples:
  forge-batch init my_game            make a content folder
  forge-batch new oak_chair renders/  write a manifest for the pictures in renders/
  forge-batch validate                is everything that I am about to commit sound?
  forge-batch plan                    what would run, and how long would it take?
  forge-batch run                     make every package that is not made yet
  forge-batch run --asset teddy_bear  only this one
  forge-batch status                  how does every asset stand?
  forge-batch check exports/teddy_bear/export_TeddyBear_UE5.zip

exit codes: 0 fine, 1 a manifest or an asset failed, 2 wrong usage, 3 a bug, 130 interrupted"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and give the exit code of design.md section 7."""
    options = parser().parse_args(arguments)
    command: Command = options.command
    try:
        return command(options)
    except ForgeError as error:
        _complain(str(error))
        return FAILED
    except KeyboardInterrupt:
        _complain("interrupted; what is finished is kept, run again to go on")
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return FINE
    except Exception:  # noqa: BLE001 - the last line of defence tells a bug from a user error
        traceback.print_exc()
        _complain("this is a bug, please report it with the lines above")
        return BUG


def parser() -> argparse.ArgumentParser:
    """Describe every command."""
    top = argparse.ArgumentParser(
        prog="forge-batch",
        description="Turn images and YAML manifests into packages that Unreal Engine 5 imports right the first time.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, command: Command, text: str, example: str) -> argparse.ArgumentParser:
        one = commands.add_parser(
            name,
            help=text,
            description=text,
            epilog="examples:\n" + example,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        one.set_defaults(command=command)
        return one

    _batch_commands(add)
    _authoring_commands(add)
    _picture_commands(add)
    return top


def _batch_commands(add: Add) -> None:
    """Describe what works on the queue."""
    run = add(
        "run", _run, "make every package that is not made yet", "  forge-batch run\n  forge-batch run --asset horse --json"
    )
    _content(run)
    run.add_argument("--asset", metavar="NAME", help="only this asset")
    run.add_argument("--retry", action="store_true", help="try again what failed with the same inputs")
    run.add_argument("--watch", action="store_true", help="stay, and run again whenever inbox/ or manifests/ change")
    run.add_argument("--executor", choices=["local"], default="local", help="where tasks run (default: this machine)")
    run.add_argument("--json", action="store_true", help="print one JSON document on stdout")

    validate = add(
        "validate", _validate, "say everything that is wrong with manifests and images",
        "  forge-batch validate\n  forge-batch validate manifests/horse.yaml --format github",
    )  # fmt: skip
    validate.add_argument("manifests", nargs="*", metavar="MANIFEST", type=Path, help="only these (default: all)")
    _content(validate)
    validate.add_argument("--format", choices=["text", "json", "github"], default="text", help="how problems are printed")

    plan = add("plan", _plan, "say what remains to be done, without doing it", "  forge-batch plan\n  forge-batch plan --json")
    _content(plan)
    plan.add_argument("--asset", metavar="NAME", help="only this asset")
    plan.add_argument("--json", action="store_true", help="print one JSON document on stdout")

    status = add("status", _status, "say how every asset stands", "  forge-batch status\n  forge-batch status --json")
    _content(status)
    status.add_argument("--json", action="store_true", help="print one JSON document on stdout")


def _authoring_commands(add: Add) -> None:
    """Describe what helps to write manifests and to judge what came of them."""
    explain = add(
        "explain", _explain, "say what an asset's manifest or a preset comes down to, and where each value is from",
        "  forge-batch explain teddy_bear\n  forge-batch explain prop_UE5_hero > presets/mine.yaml\n"
        "  forge-batch explain prop_UE5_standard prop_UE5_hero    # the difference",
    )  # fmt: skip
    explain.add_argument("name", metavar="NAME", help="an asset, or a preset")
    explain.add_argument("other", metavar="OTHER", nargs="?", help="another one: print how they differ")
    _content(explain)
    explain.add_argument("--json", action="store_true", help="print one JSON document on stdout")

    add("schema", _schema, "print the JSON Schema of a manifest", "  forge-batch schema > manifests/manifest.schema.json")

    init = add("init", _init, "make a content folder, with a commented example", "  forge-batch init my_game")
    init.add_argument("folder", metavar="DIR", type=Path)

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
    _content(new)

    check = add(
        "check", _check, "run the gates on a package that exists",
        "  forge-batch check exports/horse/export_Horse_UE5.zip\n  forge-batch check thing.glb --json",
    )  # fmt: skip
    check.add_argument("package", metavar="PACKAGE.zip|MESH", type=Path)
    check.add_argument("--json", action="store_true", help="print one JSON document on stdout")


def _picture_commands(add: Add) -> None:
    """Describe what shows a package to people."""
    render = add(
        "render", _render, "draw a package: a turntable, and the input pictures over the result, as PNG",
        "  forge-batch render exports/horse/export_Horse_UE5.zip\n"
        "  forge-batch render exports/horse/export_Horse_WEB.zip --out pictures/ --frames 72 --size 1024",
    )  # fmt: skip
    render.add_argument("package", metavar="PACKAGE.zip", type=Path)
    render.add_argument("--out", metavar="DIR", type=Path, help="where the pictures go (default: PACKAGE_render/)")
    render.add_argument("--frames", metavar="N", type=_number(1, 360), default=24, help="pictures of a full turn (default: 24)")
    render.add_argument("--size", metavar="PX", type=_number(64, 4096), default=512, help="their edge in pixels (default: 512)")
    _content(render)


def _number(least: int, most: int) -> Callable[[str], int]:
    """Read a whole number within bounds."""

    def read(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} to {most}")
        return int(text)

    return read


def _content(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--content", metavar="DIR", type=Path, default=Path(), help="the content folder (default: the current one)"
    )


def _run(options: argparse.Namespace) -> int:
    from forge_batch import settings
    from forge_batch.content.local import LocalContent
    from forge_batch.executors.local import LocalExecutor
    from forge_batch.runner import run
    from forge_batch.terminal import Terminal

    content = LocalContent(options.content)
    workers = settings.load().workers

    def once() -> int:
        terminal = Terminal(workers)
        try:
            report = run(content, LocalExecutor(workers), terminal, asset=options.asset, retry=options.retry)
        finally:
            terminal.close()
        if options.json:
            _print_json(report.to_json())
        elif not report.assets:
            _complain("nothing to do: manifests/ holds no manifest")
        elif not report.worked:
            count = len(report.assets)
            _complain(f"nothing to do: {count} {'asset is' if count == 1 else 'assets are'} up to date")
        return FINE if report.ok else FAILED

    if not options.watch:
        return once()
    from forge_batch.content.watch import changes

    for _ in changes(content.root):
        once()
    return FINE


def _validate(options: argparse.Namespace) -> int:
    from forge_batch.intake import take_in, take_in_files
    from forge_batch.problem_text import print_problems

    root = options.content
    intake = take_in_files(root, options.manifests) if options.manifests else take_in(root)
    print_problems(intake.problems, options.format, root, intake.files)
    return FAILED if intake.errors else FINE


def _plan(options: argparse.Namespace) -> int:
    from forge_batch import settings
    from forge_batch.content.local import LocalContent
    from forge_batch.plan_text import plan_json, plan_text
    from forge_batch.runner import plans

    found, problems = plans(LocalContent(options.content), options.asset)
    errors = [problem for problem in problems if problem.severity == "error"]
    for problem in errors:
        _complain(str(problem))
    if options.json:
        _print_json(plan_json(found, settings.load().workers))
    else:
        print(plan_text(found, settings.load().workers))
    return FAILED if errors else FINE


def _status(options: argparse.Namespace) -> int:
    from forge_batch.content.local import LocalContent
    from forge_batch.plan_text import status_text
    from forge_batch.runner import standing

    report = standing(LocalContent(options.content))
    if options.json:
        _print_json(report.to_json())
    else:
        print(status_text(report))
    return FINE if report.ok else FAILED


def _explain(options: argparse.Namespace) -> int:
    from forge_batch.explain import difference_json, difference_text, explain, explanation_text

    one = explain(options.content, options.name)
    if not options.other:
        _print_json(one.to_json()) if options.json else print(explanation_text(one))
        return FINE
    other = explain(options.content, options.other)
    _print_json(difference_json(one, other)) if options.json else print(difference_text(one, other))
    return FINE


def _schema(_: argparse.Namespace) -> int:
    from forge_batch.manifest import schema

    _print_json(schema())
    return FINE


def _init(options: argparse.Namespace) -> int:
    from forge_batch.content.scaffold import init

    for line in init(options.folder):
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
            _complain(str(error))
        except EOFError:
            raise KeyboardInterrupt from None


def _new(options: argparse.Namespace) -> int:
    from forge_batch.new_manifest import new_asset
    from forge_batch.views_by_name import shown

    kind, height = options.kind, options.height_cm
    if sys.stdin.isatty():
        kind = kind or _ask(f"What is it: {', '.join(KINDS)}? [{KINDS[0]}]", _kind)
        height = height or _ask("How high is it in reality, in centimetres?", _height)
    if height is None:
        _complain("the real height is needed: --height-cm 92")
        return USAGE
    named = [view for view in options.views.split(",") if view]
    made = new_asset(
        options.content, options.asset, options.images,
        kind=kind or KINDS[0], height_cm=height, preset=options.preset, named=named,
    )  # fmt: skip
    print(f"made {made.manifest} ({shown(made.views)})")
    return _validate(argparse.Namespace(content=options.content, manifests=[made.manifest], format="text"))


def _check(options: argparse.Namespace) -> int:
    from forge_batch.check import check

    verdict = check(options.package)
    if options.json:
        _print_json(verdict.to_json())
    else:
        print(verdict.to_text())
    return FINE if verdict.ok else FAILED


def _render(options: argparse.Namespace) -> int:
    from forge_batch.render_package import render_package

    for path in render_package(options.package, options.content, options.out, options.frames, options.size):
        print(path)
    return FINE


def _print_json(document: Any) -> None:
    print(json.dumps(document, indent=2, ensure_ascii=False))


def _complain(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
