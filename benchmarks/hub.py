"""Measure a runner on a dataset repo of many manifests: first sync, no-op sync, validate and plan, in seconds and requests.

    python -m benchmarks.hub --assets 1000 --out benchmarks/results/hub.json

Run it from the project's folder. The Hub is that of the tests, on loopback: seconds hold no network, requests are what a real
Hub would see. `first sync` shares its cores with the Hub.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def main() -> None:
    """Measure and print; write the figures where `--out` says."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--assets", type=int, default=1000)
    options.add_argument("--out", type=Path)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HOME": folder}
        figures = measure(Path(folder), chosen.assets)
    text = json.dumps(figures, indent=1)
    print(text)
    if chosen.out:
        chosen.out.write_text(text + "\n")


def measure(folder: Path, count: int) -> dict[str, Any]:
    """Fill a repo, then look at it as the commands do."""
    from forge_batch.content.hub import HubContent
    from forge_batch.intake import take_in
    from forge_batch.standing import plans
    from tests.hub_server import HubServer
    from tests.hub_world import NAME, options, wish

    hub = HubServer()
    hub.start()
    files: dict[str, bytes | str | None] = {}
    for number in range(count):
        files |= wish(f"asset_{number:04}", folder, seed=number)
    repo = hub.repo(NAME, files)
    steps: dict[str, Any] = {}

    def step(name: str, call: Callable[[], Any]) -> Any:
        start, before = time.perf_counter(), len(hub.requests)
        answer = call()
        steps[name] = {"seconds": round(time.perf_counter() - start, 2), "requests": len(hub.requests) - before}
        return answer

    place = options(hub, folder / "disk")
    content = step("first sync", lambda: HubContent(NAME, place))
    step("no-op sync", content.sync)
    step("no-op sync of a new process", lambda: HubContent(NAME, place))
    step("validate", lambda: take_in(content.root))
    step("plan", lambda: plans(content))
    repo.put({"manifests/asset_0000.yaml": "forge: 1\nplace: {height_cm: 61}\n"})
    step("sync of one changed manifest", content.sync)
    hub.stop()
    return {
        "assets": count,
        "pictures": "one of 64 x 64 pixels each",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "steps": steps,
    }


if __name__ == "__main__":
    main()
