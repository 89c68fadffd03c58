"""Work on the queue: run, validate, plan, status."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from forge_batch.commands.contract import FAILED, FINE, Add, complain, content_option, json_option, opened, print_json, root_of

if TYPE_CHECKING:
    from forge_batch.content.contract import ContentRepo
    from forge_batch.intake import Order
    from forge_batch.price import Price

EXECUTORS = ("local", "zero_gpu", "dask")
"""A copy of the executors' names, so that --help need not load them."""


def add_batch_commands(add: Add) -> None:
    """Describe what works on the queue."""
    run = add(
        "run", _run, "make every package that is not made yet", "  forge-batch run\n  forge-batch run --asset horse --json"
    )
    content_option(run)
    run.add_argument("--asset", metavar="NAME", help="only this asset")
    run.add_argument("--retry", action="store_true", help="try again what failed with the same inputs")
    run.add_argument("--watch", action="store_true", help="stay, and run again whenever inbox/ or manifests/ change")
    run.add_argument("--executor", choices=EXECUTORS, default="local", help="where tasks run (default: this machine)")
    json_option(run)

    validate = add(
        "validate", _validate, "say everything that is wrong with manifests and images",
        "  forge-batch validate\n  forge-batch validate --price\n"
        "  forge-batch validate manifests/horse.yaml --format github",
    )  # fmt: skip
    validate.add_argument("manifests", nargs="*", metavar="MANIFEST", type=Path, help="only these (default: all)")
    content_option(validate)
    validate.add_argument("--price", action="store_true", help="also say what the sound ones will cost, and when they are done")
    validate.add_argument("--format", choices=["text", "json", "github"], default="text", help="how problems are printed")

    plan = add(
        "plan", _plan, "say what remains to be done, without doing it",
        "  forge-batch plan\n  forge-batch plan --json\n  forge-batch plan --asset horse",
    )  # fmt: skip
    content_option(plan)
    plan.add_argument("--asset", metavar="NAME", help="only this asset; and leave a preview of what was generated")
    json_option(plan)

    status = add("status", _status, "say how every asset stands", "  forge-batch status\n  forge-batch status --json")
    content_option(status)
    json_option(status)


def _run(options: argparse.Namespace) -> int:
    import threading

    from forge_batch import settings
    from forge_batch.builds import Builds
    from forge_batch.executors.choose import choose_executor
    from forge_batch.keep_running import keep_running, run_once
    from forge_batch.live import LiveFile, Several
    from forge_batch.project import load_project
    from forge_batch.terminal import Terminal

    content, found = opened(options), settings.load()
    workers, nudge = found.workers, threading.Event()
    live = LiveFile(content.home, nudge.set)

    def once() -> int:
        terminal = Terminal(workers)
        try:
            executor = choose_executor(options.executor, workers, content.home, load_project(content.root), found.access)
            told = Several(terminal, Builds(content), live)
            report = run_once(content, executor, told, live, asset=options.asset, retry=options.retry)
        finally:
            terminal.close()
        if options.json:
            print_json(report.to_json())
        elif not report.assets:
            complain("nothing to do: manifests/ holds no manifest")
        elif not report.worked:
            count = len(report.assets)
            complain(f"nothing to do: {count} {'asset is' if count == 1 else 'assets are'} up to date")
        return FINE if report.ok else FAILED

    try:
        if not options.watch:
            return once()
        keep_running(content, once, live, complain, nudge)
    finally:
        live.leave()
    return FINE


def _validate(options: argparse.Namespace) -> int:
    from forge_batch.intake import take_in, take_in_files
    from forge_batch.problem_text import print_problems

    root = root_of(options)
    paths = [path if path.exists() else root / path for path in options.manifests]
    intake = take_in_files(root, paths) if paths else take_in(root)
    if not options.price:
        print_problems(intake.problems, options.format, root, intake.files)
        return FAILED if intake.errors else FINE
    from forge_batch.dry_run import late
    from forge_batch.plan_text import print_priced

    asked = {order.manifest.asset for order in intake.orders}
    others = [order for order in take_in(root).orders if order.manifest.asset not in asked] if paths else []
    queue = [*intake.orders, *others]
    price = _priced(opened(options), queue, asked)
    print_priced(price, [*intake.problems, *late(price, queue)], options.format, root, intake.files)
    return FAILED if intake.errors else FINE


def _plan(options: argparse.Namespace) -> int:
    from forge_batch.dry_run import late
    from forge_batch.intake import take_in
    from forge_batch.plan_text import price_json, price_text
    from forge_batch.source_preview import source_preview

    content = opened(options)
    queue = take_in(content.root)
    asked = take_in(content.root, options.asset) if options.asset else queue
    for problem in asked.errors:
        complain(str(problem))
    price = _priced(content, queue.orders, {order.manifest.asset for order in asked.orders})
    for problem in late(price, queue.orders):
        complain(str(problem))
    previews = {asset.plan.asset: source_preview(content, asset.plan) for asset in price.assets} if options.asset else {}
    if options.json:
        print_json(price_json(price, previews))
    else:
        print(price_text(price, previews))
    return FAILED if asked.errors else FINE


def _priced(content: ContentRepo, queue: Sequence[Order], asked: set[str]) -> Price:
    from datetime import UTC, datetime

    from forge_batch import settings
    from forge_batch.dry_run import priced

    found = settings.load()
    return priced(content, queue, datetime.now(UTC), found.workers, asked, found.access)


def _status(options: argparse.Namespace) -> int:
    from datetime import UTC, datetime

    from forge_batch import settings
    from forge_batch.dry_run import machinery
    from forge_batch.errors import ForgeError
    from forge_batch.plan_text import machinery_json, machinery_text, status_text
    from forge_batch.standing import standing

    content = opened(options)
    report = standing(content)
    made = [asset.asset for asset in report.assets if asset.stages]
    beside = None
    try:
        beside = machinery(content, made, datetime.now(UTC), settings.load().access)
    except ForgeError as error:  # forge.yaml or the ledger is broken; the assets stand as they stand
        complain(str(error))
    if options.json:
        print_json({**report.to_json(), **(machinery_json(beside) if beside else {})})
    else:
        print("\n\n".join([status_text(report), *([machinery_text(beside)] if beside else [])]))
    return FINE if report.ok else FAILED
