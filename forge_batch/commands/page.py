"""Serve the queue page: page."""

from __future__ import annotations

import argparse
import sys

from forge_batch.commands.batch import EXECUTORS
from forge_batch.commands.contract import FINE, Add, complain, content_option


def add_page_commands(add: Add) -> None:
    """Describe what shows the queue."""
    page = add(
        "page", _page, "serve the queue page, and run what is not made yet",
        "  forge-batch page                  # and open the address that it prints\n"
        "  forge-batch page --no-runner      # only show what a runner elsewhere on this machine does",
    )  # fmt: skip
    content_option(page)
    page.add_argument("--port", metavar="N", type=int, help="port to listen at (default: the first free one from 7860)")
    page.add_argument("--host", metavar="H", default="127.0.0.1", help="address to listen at (default: this machine alone)")
    page.add_argument("--no-runner", action="store_true", help="show only; a runner elsewhere works")
    page.add_argument("--executor", choices=EXECUTORS, default="local", help="where tasks run (default: this machine)")


def _page(options: argparse.Namespace) -> int:
    from forge_batch import settings
    from forge_batch.errors import BackendUnavailable
    from forge_batch.ui.site import Site

    try:
        from forge_batch.ui.page import serve
    except ModuleNotFoundError as error:
        raise BackendUnavailable(f"the page needs {error.name}", "pip install 'forge-batch[page]'") from None
    found, runs = settings.load(), not options.no_runner
    site = Site.open(found, runs, options.content, options.executor)
    page, address = serve(site, found, runs=runs, host=options.host, port=options.port)
    complain(f"the queue of {site.content.name}")
    print(f"{address}?token={site.options.token}" if not site.options.owner else address, flush=True)
    complain("that address is the owner's; without its token the page is read-only. Ctrl-C ends the page and the runner")
    try:
        page.block_thread()
    finally:
        page.close()
        sys.stdout.flush()
    return FINE
