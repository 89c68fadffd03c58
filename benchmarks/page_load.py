"""Load the queue page of 2,000 assets: how soon it is there, and viewers who poll beside a batch. Prints JSON; --out writes it.

- `start`: seconds until the page answers and until it has read every asset, for the first time and again; in chromium the
  milliseconds until something is painted and until the first row stands there, while it still reads and afterwards.
- `refresh`: milliseconds and bytes of the largest answer to a viewer that the server makes, in a process of its own.
- The rest: what 50 viewers get (status, milliseconds, bytes), what they cost the page's process, and how much longer a batch
  takes beside them: the example assets named are made twice in fresh folders, alone and watched. It stands back for the page
  as one behind the page itself does.

    python benchmarks/page_load.py --seconds 60 --viewers 50 --out benchmarks/results/page_load.json
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from forge_batch.content.local import LocalContent  # noqa: E402 - the path above
from forge_batch.queue_view import Wish  # noqa: E402 - the path above
from forge_batch.settings import PageOptions  # noqa: E402 - the path above
from forge_batch.survey import Survey  # noqa: E402 - the path above
from forge_batch.ui.site import Site  # noqa: E402 - the path above
from forge_batch.ui.views import Views  # noqa: E402 - the path above
from tests.fakes import LEAST, FakeExecutor, content_folder  # noqa: E402 - the path above
from tests.readers import chromium  # noqa: E402 - the path above
from tests.serving import answers, free_port  # noqa: E402 - the path above

FIRST_ROW = """new MutationObserver(() => {
  if (!window.rowAt && document.querySelector('[data-row]')) window.rowAt = performance.now();
}).observe(document, { childList: true, subtree: true });"""


async def view(address: str, number: int, seconds: float, every: float, found: list) -> None:
    """Be one viewer: open the page, then ask for news as its script does."""
    await asyncio.sleep(every * number / 50)
    marks: dict[str, str] = {}
    async with httpx.AsyncClient(timeout=30) as client:
        await client.get(address)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            start = time.perf_counter()
            try:
                answer = await client.get(f"{address}live", params={"state": "all", "page": 1, **marks})
                found.append((answer.status_code, time.perf_counter() - start, len(answer.content)))
                marks |= {f"mark-{name}": part["mark"] for name, part in answer.json()["parts"].items()}
            except httpx.HTTPError as error:
                found.append((str(error) or type(error).__name__, time.perf_counter() - start, 0))
            await asyncio.sleep(max(0.0, every - (time.perf_counter() - start)))


def cpu_seconds(pid: int) -> float:
    """Give the processor seconds that a process has used, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def batch(assets: list[str], workers: int) -> subprocess.Popen[bytes]:
    """Start making example assets in a fresh folder."""
    folder = Path(tempfile.mkdtemp(prefix="forge-load-"))
    (folder / "manifests").mkdir()
    for name in assets:
        shutil.copy(ROOT / "manifests" / f"{name}.yaml", folder / "manifests")
        shutil.copytree(ROOT / "inbox" / name, folder / "inbox" / name)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "FORGE_WORKERS": str(workers)}
    command = ["nice", "-n", "5", sys.executable, "-m", "forge_batch.cli", "run", "--content", str(folder)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)


def timed(assets: list[str], workers: int) -> float:
    """Give the wall seconds of a batch."""
    start = time.monotonic()
    assert batch(assets, workers).wait() == 0
    return time.monotonic() - start


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--viewers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--every", type=float, default=3.0)
    parser.add_argument("--assets", type=int, default=2000)
    parser.add_argument("--batch", nargs="*", default=["wood_barrel", "mailbox"])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def folder_of(assets: int) -> Path:
    """Make a content folder of so many assets, which share their picture."""
    content = content_folder(Path(tempfile.mkdtemp(prefix="forge-load-")) / "content", "asset_0000")
    for number in range(1, assets):
        (content / "manifests" / f"asset_{number:04}.yaml").write_text(LEAST + "images: asset_0000\n")
    return content


def serve(content: Path) -> tuple[subprocess.Popen[bytes], str, float]:
    """Start a page; give its process, its address, and when it was started. It answers when this returns."""
    port = free_port()
    address = f"http://127.0.0.1:{port}/"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "forge_batch.cli", "page", "--content", str(content), "--no-runner", "--port", str(port)]
    start = time.monotonic()
    page = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not answers(address):
        time.sleep(0.05)
    return page, address, start


def loaded(address: str) -> None:
    """Wait until the page has read its folder."""
    while not httpx.get(f"{address}healthz", timeout=60).json()["loaded"]:
        time.sleep(0.1)


def paint(browser: Browser, address: str) -> dict[str, int]:
    """Open the page as somebody who was never there; give milliseconds until something is painted, and until the first row."""
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    view = context.new_page()
    view.add_init_script(FIRST_ROW)
    view.goto(address)
    view.wait_for_selector("[data-row]", state="attached", timeout=120_000)
    painted, row = view.evaluate("[performance.getEntriesByName('first-contentful-paint')[0].startTime, window.rowAt]")
    context.close()
    return {"painted": round(painted), "first_row": round(row)}


def starts(content: Path) -> tuple[subprocess.Popen[bytes], str, dict]:
    """Start the page for the first time, then again, and open it; give the second, which goes on."""
    first, address, begun = serve(content)
    there = time.monotonic() - begun
    loaded(address)
    found: dict = {"first_time": {"answers": round(there, 1), "all_read": round(time.monotonic() - begun, 1)}}
    first.kill()
    first.wait()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(chromium()), args=["--no-sandbox"])
        page, address, begun = serve(content)
        there = time.monotonic() - begun
        reading = paint(browser, address)
        loaded(address)
        found["again"] = {"answers": round(there, 1), "all_read": round(time.monotonic() - begun, 1)}
        found["milliseconds_while_reading"] = reading
        times = [paint(browser, address) for _ in range(9)]
        browser.close()
    found["milliseconds"] = {key: statistics.median(one[key] for one in times) for key in ("painted", "first_row")}
    return page, address, found


def refresh(content: Path) -> dict:
    """Make the answer that a viewer gets who has nothing yet, anew each time; give the median and the worst."""
    site = Site(LocalContent(content), Survey(LocalContent(content), 2), PageOptions(), FakeExecutor)
    site.survey.look()
    views, wall, cpu, answer = Views(site), [], [], ""
    for _ in range(21):
        start, used = time.perf_counter(), time.thread_time()
        site.survey.glance()
        answer = json.dumps(views.live(Wish(), "asset_0000", {}))
        wall.append(1000 * (time.perf_counter() - start))
        cpu.append(1000 * (time.thread_time() - used))
    spread = {"p50": round(statistics.median(wall), 1), "max": round(max(wall), 1), "cpu": round(statistics.median(cpu), 1)}
    return {"milliseconds": spread, "bytes": len(answer), "compressed": len(gzip.compress(answer.encode(), 9))}


def measure(asked: argparse.Namespace, page: subprocess.Popen[bytes], address: str) -> dict:
    """Let the viewers come, and give what they got and what it cost."""
    alone = timed(asked.batch, asked.workers) if asked.batch else 0.0
    idle = cpu_seconds(page.pid)
    time.sleep(10)
    idle = (cpu_seconds(page.pid) - idle) / 10
    beside = batch(asked.batch, asked.workers) if asked.batch else None
    found: list = []
    before, begun = cpu_seconds(page.pid), time.monotonic()

    async def viewers() -> None:
        calls = (view(address, n, asked.seconds, asked.every, found) for n in range(asked.viewers))
        await asyncio.gather(*calls)

    asyncio.run(viewers())
    used = (cpu_seconds(page.pid) - before) / (time.monotonic() - begun)
    if beside is not None:
        assert beside.wait() == 0
    watched = time.monotonic() - begun if beside is not None else 0.0
    times = sorted(1000 * seconds for _, seconds, _ in found)
    sizes = sorted(size for _, _, size in found)
    spread = {"p50": times[len(times) // 2], "p95": times[int(0.95 * len(times))], "max": times[-1]}
    return {
        "polls": len(found),
        "errors": sum(status != 200 for status, _, _ in found),
        "milliseconds": {name: round(value, 1) for name, value in spread.items()},
        "bytes": {"p50": sizes[len(sizes) // 2], "max": sizes[-1]},
        "cores_used": {"idle": round(idle, 3), "watched": round(used, 3)},
        "batch_seconds": {"alone": round(alone, 1), "watched": round(watched, 1)},
    }


def main() -> None:
    """Serve, measure, and say it."""
    asked = options()
    content = folder_of(asked.assets)
    page, address, start = starts(content)
    try:
        found = measure(asked, page, address)
    finally:
        page.kill()
        page.wait()
    result = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "load_average": round(os.getloadavg()[0], 1),
        "assets": asked.assets,
        "viewers": asked.viewers,
        "seconds": asked.seconds,
        "every": asked.every,
        "start": start,
        "refresh": refresh(content),
        **found,
    }
    text = json.dumps(result, indent=1)
    print(text)
    if asked.out:
        asked.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
