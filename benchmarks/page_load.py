"""Load the queue page: viewers who poll beside a running batch. Prints JSON; with --out writes it.

Measures what 50 viewers of a queue of 2,000 assets get (status, milliseconds, bytes), what they cost the page's process, and
how much longer a batch takes beside them: the example assets named are made twice in fresh folders, alone and watched. It
stands back for the page as one behind the page itself does.

    python benchmarks/page_load.py --seconds 60 --viewers 50 --out benchmarks/results/page_load.json
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.fakes import LEAST, content_folder  # noqa: E402 - the path above
from tests.serving import free_port  # noqa: E402 - the path above


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


def serve(assets: int) -> tuple[subprocess.Popen[bytes], str, float]:
    """Start a page of so many assets; give its process, its address, and the seconds until it knew them all."""
    content = content_folder(Path(tempfile.mkdtemp(prefix="forge-load-")) / "content", "asset_0000")
    for number in range(1, assets):
        (content / "manifests" / f"asset_{number:04}.yaml").write_text(LEAST + "images: asset_0000\n")
    port = free_port()
    address = f"http://127.0.0.1:{port}/"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "forge_batch.cli", "page", "--content", str(content), "--no-runner", "--port", str(port)]
    page = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    start = time.monotonic()
    while True:
        try:
            if httpx.get(f"{address}healthz").json()["queue"]["queued"] == assets:
                return page, address, time.monotonic() - start
        except (httpx.HTTPError, ValueError):
            time.sleep(0.2)


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
    page, address, ready = serve(asked.assets)
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
        "page_ready_seconds": round(ready, 1),
        **found,
    }
    text = json.dumps(result, indent=1)
    print(text)
    if asked.out:
        asked.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
