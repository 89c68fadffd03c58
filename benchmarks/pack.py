"""Measure how long the packer takes (CPU time of its one thread), and how near its windows come to the optimum.

    python benchmarks/pack.py [RESULTS.json]

Queues of assets with log-normal seconds (median 40 s, spread 0.8), six sets of models, ages up to two weeks; the median and
the longest of 20 queues of each size. The bound is the fractional optimum of the best set of models: the optimum is lower.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from forge_batch.estimate import Seconds
from forge_batch.ops.knapsack import upper_bound
from forge_batch.quota import UNLIMITED
from forge_batch.windows import GpuPlan, GpuTask, _items, pack, weights

NOW = datetime(2026, 3, 1, tzinfo=UTC)
START = Seconds(4.0, 7.0)
SETS = (("trellis2",), ("hunyuan3d",), ("",), ("", "diffusion"), ("", "unirig"), ("", "diffusion", "skintokens"))
STAGES = {"trellis2": "generate", "hunyuan3d": "generate", "": "bake_normal", "diffusion": "inpaint"}


def queue(rng: np.random.Generator, count: int) -> list[GpuPlan]:
    """Make a queue."""
    plans = []
    for number in range(count):
        models = SETS[int(rng.integers(len(SETS)))]
        tasks = tuple(
            GpuTask(f"a{number}", f"a{number}/{model}", STAGES.get(model, "rig"), model, seconds(rng), Seconds(20, 30))
            for model in models
        )
        since = NOW - timedelta(days=float(rng.uniform(0, 14)))
        plans.append(GpuPlan(f"a{number}", (tasks,), since, int(rng.integers(0, 101))))
    return plans


def seconds(rng: np.random.Generator) -> Seconds:
    """Draw a task's estimate."""
    median = float(rng.lognormal(np.log(40), 0.8))
    return Seconds(median, 1.5 * median)


def measure(count: int, room: int, queues: int = 20) -> dict[str, float]:
    """Pack some queues; give milliseconds of CPU and the share of the bound."""
    took, share = [], []
    for number in range(queues):
        plans = queue(np.random.default_rng(number), count)
        begin = time.process_time()
        window = pack(plans, room, NOW, START, UNLIMITED)
        took.append(1000 * (time.process_time() - begin))
        ordered = sorted(plans, key=lambda plan: (plan.since, plan.asset))
        worth = np.array(weights(ordered, NOW))
        items = _items(ordered, worth, UNLIMITED, 7)
        bound = upper_bound(items, room)
        value = sum(worth[i] for i, plan in enumerate(ordered) if plan.asset in set(window.assets))
        share.append(1.0 if window.assets and len(window.assets) == count else value / bound)
    return {
        "assets": count,
        "seconds": room,
        "median_ms": round(statistics.median(took), 2),
        "longest_ms": round(max(took), 2),
        "least_share_of_bound": round(min(share), 4),
    }


def main() -> None:
    """Print a table, and write the results where a path is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="?")
    options = parser.parse_args()
    rows = [measure(count, room) for count in (12, 100, 1000, 5000) for room in (300, 2400, 20_000)]
    for row in rows:
        print("  ".join(f"{name} {value:>8}" for name, value in row.items()))
    if options.results:
        document = {"python": platform.python_version(), "cores": "2 cores of a shared machine", "rows": rows}
        options.results.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
