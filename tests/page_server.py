"""Serve a queue page in a process of its own: python -m tests.page_server CONTENT [options]; says where as a line of JSON.

Behind it works an executor that makes files out of thin air, but for what the page shows: packages of the winged box, its
levels of detail, gates and a preview are real.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from forge_batch import settings
from forge_batch.artifacts import Artifact
from forge_batch.content.local import RECORD, LocalContent
from forge_batch.executors.contract import Chain, Event, Finished, Progress, TaskSpec
from forge_batch.gates import Gate
from forge_batch.jobs import Failure, TaskRecord
from forge_batch.ops.image_file import encode_png
from forge_batch.ops.mesh import save_meshes
from forge_batch.packages.asset import Asset
from forge_batch.packages.engines import ENGINES
from forge_batch.packages.zip_file import write_zip
from forge_batch.survey import Survey
from tests import winged_box
from tests.fakes import FakeExecutor

TOKEN = "the owner's token of the tests"
GATES = [
    Gate("uv_overlap", 3, 0, "texels", "fail", "texels covered more than once"),
    Gate("watertight", 0, 0, "edges", "pass", "open edges"),
]


@dataclass
class PageExecutor(FakeExecutor):
    """Make what the page shows, slowly.

    Attributes:
        seconds: That a task takes.
    """

    seconds: float = 0.0

    def run(self, chains: Sequence[Chain]) -> Iterator[Event]:
        for event in super().run(chains):
            if isinstance(event, Finished):
                time.sleep(self.seconds / 2)
                yield Progress(event.asset, event.record.stage, 0.5, "half of it")
                time.sleep(self.seconds / 2)
            yield event

    def _work(self, task: TaskSpec) -> TaskRecord:
        record = super()._work(task)
        folder = task.work / task.key
        if record.state == "failed":
            return record
        if task.stage == "build_lods":
            save_meshes(folder / "lods.npz", {f"lod{n}": mesh for n, mesh in enumerate(winged_box.levels())})
        elif task.stage == "inspect":
            (folder / "gates.json").write_text(json.dumps([gate.to_json() for gate in GATES]))
        elif task.stage == "export":
            package(folder / "package_ue5.zip", task.asset)
            (folder / "preview.png").write_bytes(encode_png(np.full((90, 160, 3), (120, 80, 40), np.uint8)))
        else:
            return record
        outputs = tuple(_again(folder, one) for one in record.outputs)
        record = replace(record, outputs=outputs, expected=(1.0, 2.0))
        (folder / RECORD).write_text(json.dumps(record.to_json()))
        return record


def _again(folder: Path, artifact: Artifact) -> Artifact:
    data = (folder / artifact.path).read_bytes()
    return replace(artifact, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))


def package(path: Path, name: str) -> None:
    """Write a package of the winged box for Unreal."""
    size = (64, 64, 3)
    color = np.random.default_rng(0).integers(60, 220, size, np.uint8)
    orm, normal = np.full(size, (250, 180, 30), np.uint8), np.full(size, (128 * 257, 128 * 257, 65535), np.uint16)
    asset = Asset(name, winged_box.levels(), [1.0, 0.5, 0.25], winged_box.hulls(), color, normal, orm)
    manifest = f"forge: 1\nasset: {name}\nplace: {{height_cm: 80}}\n".encode()
    report = json.dumps({"asset": name, "engine": "ue5"}).encode()
    write_zip(path, {**ENGINES["ue5"].files(asset), "manifest.yaml": manifest, "report.json": report})


def main() -> None:
    """Serve until the process is killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("content", type=Path)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--beat", type=float, default=5.0)
    parser.add_argument("--runner", action="store_true")
    parser.add_argument("--no-page", action="store_true")
    parser.add_argument("--fail", default="")
    options = parser.parse_args()
    from forge_batch.ui.page import serve
    from forge_batch.ui.site import Site

    found = settings.load()
    content = LocalContent(options.content)
    failures = {
        (name, "inspect"): Failure("gate", "uv overlap: 3 texels, at most 0") for name in options.fail.split(",") if name
    }
    executor = PageExecutor(failures=failures, seconds=options.seconds)
    site = Site(content, Survey(content, 1), replace(found.page, token=TOKEN), lambda: executor, beat=options.beat)
    if options.no_page:
        sys.stdout.write(json.dumps({"address": "none"}) + "\n")
        sys.stdout.flush()
        site._run()
    page, address = serve(site, found, runs=options.runner)
    sys.stdout.write(json.dumps({"address": address}) + "\n")
    sys.stdout.flush()
    page.block_thread()


if __name__ == "__main__":
    main()
