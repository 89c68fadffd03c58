"""Parse, call, print. No decisions; imports nothing heavy before it knows the command."""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from forge_batch.errors import ForgeError

if TYPE_CHECKING:
    from forge_batch.content.contract import ContentRepo
    from forge_batch.intake import Order
    from forge_batch.price import Price

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
    _machine_commands(add)
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
        "  forge-batch validate\n  forge-batch validate --price\n"
        "  forge-batch validate manifests/horse.yaml --format github",
    )  # fmt: skip
    validate.add_argument("manifests", nargs="*", metavar="MANIFEST", type=Path, help="only these (default: all)")
    _content(validate)
    validate.add_argument("--price", action="store_true", help="also say what the sound ones will cost, and when they are done")
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
    _content(push)

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


def _machine_commands(add: Add) -> None:
    """Describe what prepares a machine for the learned backends."""
    doctor = add(
        "doctor", _doctor, "say what works on this machine, and what mends what does not",
        "  forge-batch doctor\n  forge-batch doctor --offline --json",
    )  # fmt: skip
    _content(doctor)
    doctor.add_argument("--offline", action="store_true", help="do not ask the hub for the account and its access")
    doctor.add_argument("--json", action="store_true", help="print one JSON document on stdout")

    vendor = add(
        "vendor", _vendor, "bring the learned backends at their pinned revisions, or look at what was brought",
        "  forge-batch vendor list\n  forge-batch vendor fetch trellis2\n"
        "  forge-batch vendor fetch trellis2 --from /mnt/mirror\n  forge-batch vendor verify",
    )  # fmt: skip
    vendor.add_argument("action", choices=["fetch", "verify", "list"], help="bring, compare every byte, or list")
    vendor.add_argument("names", metavar="NAME", nargs="*", help="only these (default: all; fetch needs at least one)")
    vendor.add_argument("--from", metavar="DIR", type=Path, dest="mirror", help="take OWNER/NAME/ below DIR instead of the hub")
    vendor.add_argument("--optional", action="store_true", help="fetch optional weights as well")
    vendor.add_argument("--json", action="store_true", help="print one JSON document on stdout")


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
        "--content", metavar="C", default=".", help="a folder (default: the current one) or hf://datasets/OWNER/NAME"
    )


def _open(options: argparse.Namespace) -> ContentRepo:
    from forge_batch import settings
    from forge_batch.content.open import open_content

    return open_content(options.content, settings.load().hub)


def _root(options: argparse.Namespace) -> Path:
    """Give the folder that holds the manifests; that of a dataset repo is brought up to date."""
    from forge_batch.content.open import repo_of

    return Path(options.content) if repo_of(options.content) is None else _open(options).root


def _run(options: argparse.Namespace) -> int:
    from forge_batch import settings
    from forge_batch.executors.local import LocalExecutor
    from forge_batch.runner import run
    from forge_batch.terminal import Terminal

    content = _open(options)
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
    for _ in content.changes():
        try:
            once()
        except ForgeError as error:  # the next change, or the next look, is another try
            _complain(str(error))
    return FINE


def _validate(options: argparse.Namespace) -> int:
    from forge_batch.intake import take_in, take_in_files
    from forge_batch.problem_text import print_problems

    root = _root(options)
    paths = [path if path.exists() else root / path for path in options.manifests]
    intake = take_in_files(root, paths) if paths else take_in(root)
    if not options.price:
        print_problems(intake.problems, options.format, root, intake.files)
        return FAILED if intake.errors else FINE
    from forge_batch.plan_text import print_priced

    asked = {order.manifest.asset for order in intake.orders}
    others = [order for order in take_in(root).orders if order.manifest.asset not in asked] if paths else []
    price = _priced(_open(options), [*intake.orders, *others], asked)
    print_priced(price, intake.problems, options.format, root, intake.files)
    return FAILED if intake.errors else FINE


def _plan(options: argparse.Namespace) -> int:
    from forge_batch.intake import take_in
    from forge_batch.plan_text import price_json, price_text

    content = _open(options)
    queue = take_in(content.root)
    asked = take_in(content.root, options.asset) if options.asset else queue
    for problem in asked.errors:
        _complain(str(problem))
    price = _priced(content, queue.orders, {order.manifest.asset for order in asked.orders})
    if options.json:
        _print_json(price_json(price))
    else:
        print(price_text(price))
    return FAILED if asked.errors else FINE


def _priced(content: ContentRepo, queue: Sequence[Order], asked: set[str]) -> Price:
    from datetime import UTC, datetime

    from forge_batch import settings
    from forge_batch.dry_run import priced

    return priced(content, queue, datetime.now(UTC), settings.load().workers, asked)


def _status(options: argparse.Namespace) -> int:
    from forge_batch.plan_text import status_text
    from forge_batch.standing import standing

    report = standing(_open(options))
    if options.json:
        _print_json(report.to_json())
    else:
        print(status_text(report))
    return FINE if report.ok else FAILED


def _explain(options: argparse.Namespace) -> int:
    from forge_batch.explain import difference_json, difference_text, explain, explanation_text

    root = _root(options)
    one = explain(root, options.name)
    if not options.other:
        _print_json(one.to_json()) if options.json else print(explanation_text(one))
        return FINE
    other = explain(root, options.other)
    _print_json(difference_json(one, other)) if options.json else print(difference_text(one, other))
    return FINE


def _schema(_: argparse.Namespace) -> int:
    from forge_batch.manifest import schema

    _print_json(schema())
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
            _complain(str(error))
        except EOFError:
            raise KeyboardInterrupt from None


def _new(options: argparse.Namespace) -> int:
    from forge_batch.content.open import repo_of
    from forge_batch.intake import take_in_files
    from forge_batch.new_manifest import new_asset
    from forge_batch.problem_text import print_problems
    from forge_batch.views_by_name import shown

    if repo_of(options.content):
        _complain("new writes into a folder; for a dataset repo: forge-batch push ASSET_DIR --content hf://datasets/OWNER/NAME")
        return USAGE

    kind, height = options.kind, options.height_cm
    if sys.stdin.isatty():
        kind = kind or _ask(f"What is it: {', '.join(KINDS)}? [{KINDS[0]}]", _kind)
        height = height or _ask("How high is it in reality, in centimetres?", _height)
    if height is None:
        _complain("the real height is needed: --height-cm 92")
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


def _check(options: argparse.Namespace) -> int:
    from forge_batch.check import check

    verdict = check(options.package)
    if options.json:
        _print_json(verdict.to_json())
    else:
        print(verdict.to_text())
    return FINE if verdict.ok else FAILED


def _doctor(options: argparse.Namespace) -> int:
    from forge_batch.doctor import diagnose, doctor_json, doctor_text

    checks = diagnose(_root(options), online=not options.offline)
    document = doctor_json(checks)
    _print_json(document) if options.json else print(doctor_text(checks))
    return FINE if document["ok"] else FAILED


def _vendor(options: argparse.Namespace) -> int:
    from forge_batch.vendor_text import vendor, vendor_text

    if options.action == "fetch" and not options.names:
        _complain("name what to fetch, such as: forge-batch vendor fetch trellis2")
        return USAGE
    document = vendor(options.action, options.names, options.mirror, optional=options.optional, say=_complain)
    _print_json(document) if options.json else print(vendor_text(document))
    return FINE if document["ok"] else FAILED


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
