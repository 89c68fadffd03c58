"""Look at the whole machine and say what works, what does not, and the one command that mends each."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import re
import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from forge_batch.advice import licence_fault
from forge_batch.backends import matting
from forge_batch.backends.catalog import CATALOG
from forge_batch.backends.vendored.access import hub_account, readable
from forge_batch.backends.vendored.architectures import Architectures, read_architectures
from forge_batch.backends.vendored.machine import Machine, this_machine
from forge_batch.backends.vendored.pins import VENDOR, load_pins
from forge_batch.backends.vendored.readiness import lacks, unavailable_text
from forge_batch.errors import BackendUnavailable, ManifestError
from forge_batch.project import Project, load_project

DEPLOYED = (90, 120)
"""Architectures that compiled extensions are built for: the H200 and the RTX PRO 6000 of ZeroGPU."""

_SOURCE = "TORCH_CUDA_ARCH_LIST='9.0;12.0' pip install --no-build-isolation --force-reinstall --no-deps"
EXTENSIONS = {
    "flex_gemm": "sh vendor/build_wheels.sh flex_gemm",
    "cumesh": "sh vendor/build_wheels.sh cumesh",
    "o_voxel": "sh vendor/build_wheels.sh o_voxel",
    "flash_attn": "sh vendor/build_wheels.sh flash_attn",
    "xformers": f"{_SOURCE} --no-binary xformers xformers",
    "nvdiffrast": f"{_SOURCE} git+https://github.com/NVlabs/nvdiffrast@v0.4.0",
}
"""Compiled packages, and what builds each for the architectures that it lacks."""

LIBRARIES = {
    **dict.fromkeys(("torch", "diffusers", "transformers", "huggingface_hub"), "pip install 'forge-batch[learned]'"),
    "warp": "pip install 'forge-batch[gpu]'",
}
"""Libraries that an option needs, and what brings each."""

DRIVERS = {13: 580, 12: 525}
"""Oldest driver by the major release of CUDA, as NVIDIA's table of compatible drivers says."""

WIDTH = 118
ROOM_GB = 5.0
"""Free disk below which a batch is likely to stop for want of it."""


@dataclass(frozen=True)
class Check:
    """Be one thing looked at.

    Attributes:
        name: What.
        state: `works`, `missing` (an option that is not there) or `broken` (needed, or wrong).
        found: What was seen.
        command: What mends it, empty if nothing must be.
    """

    name: str
    state: str
    found: str
    command: str = ""


def diagnose(
    content: Path, *, online: bool, machine: Machine | None = None, root: Path = VENDOR, endpoint: str | None = None
) -> list[Check]:
    """Check the machine for the content folder given.

    Args:
        content: The content folder; its forge.yaml says where the project may be.
        online: Whether to ask the hub who we are and what we may read.
        machine: What there is; looked for if left out.
        root: The vendor folder.
        endpoint: Address of the hub; None for HF_ENDPOINT or the official one.
    """
    found = machine or this_machine()
    return [
        Check("python", "works", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        *_gpus(found),
        *_libraries(found),
        *_extensions(found),
        _disk("content folder", content),
        _disk("vendor folder", root),
        *_access(root, endpoint, online=online),
        *_backends(content, found, root),
    ]


def doctor_text(checks: Sequence[Check]) -> str:
    """Lay the checks out for people: state, what, and below it what was found and what mends it."""
    lines = []
    for check in checks:
        lines += [*textwrap.wrap(f"{check.state:8} {check.name}: {check.found}", WIDTH, subsequent_indent=" " * 9)]
        if check.command:
            lines.append(f"{'':9}-> {check.command}")
    return "\n".join(lines)


def doctor_json(checks: Sequence[Check]) -> dict[str, Any]:
    """Give the checks as one JSON document; `ok` says that nothing needed is broken."""
    return {"ok": all(check.state != "broken" for check in checks), "checks": [asdict(check) for check in checks]}


def _gpus(machine: Machine) -> list[Check]:
    if not machine.gpus:
        return [Check("gpu", "missing", "no NVIDIA GPU; the built-in path needs none", "")]
    return [
        Check(
            "gpu", "works",
            f"{gpu.name}, {gpu.free_gb:.0f} of {gpu.memory_gb:.0f} GB free, sm_{gpu.capability}, driver {gpu.driver}",
        )
        for gpu in machine.gpus
    ]  # fmt: skip


def _libraries(machine: Machine) -> list[Check]:
    checks = []
    for name, command in LIBRARIES.items():
        if machine.has_module(name):
            checks.append(Check(name, "works", _version(name)))
        else:
            used = "the GPU bakes need it" if name == "warp" else "only learned backends need it"
            checks.append(Check(name, "missing", f"not installed; {used}", command))
    if machine.has_module("torch"):
        checks.append(_cuda(machine))
    return checks


def _cuda(machine: Machine) -> Check:
    """Compare what torch was built for with what is here, without importing it: that takes seconds, and CUDA."""
    folder = _folder("torch")
    text = (folder / "version.py").read_text(encoding="utf-8") if (folder / "version.py").is_file() else ""
    built = re.search(r"^cuda\b.*=\s*['\"]([\d.]+)['\"]", text, re.MULTILINE)
    if built is None:
        state = "broken" if machine.gpus else "missing"
        command = "pip install torch --index-url https://download.pytorch.org/whl/cu130" if machine.gpus else ""
        return Check("cuda", state, "this torch was built without CUDA", command)
    library = folder / "lib" / "libtorch_cuda.so"
    found = read_architectures(library) if library.is_file() else Architectures()
    text = f"torch was built with CUDA {built[1]} for {found}"
    for gpu in machine.gpus:
        oldest, driver = DRIVERS.get(int(built[1].split(".")[0]), 0), int(gpu.driver.split(".")[0] or 0)
        if driver < oldest:
            return Check(
                "cuda",
                "broken",
                f"{text}; the driver {gpu.driver} is too old for it",
                f"apt-get install nvidia-driver-{oldest}",
            )
        if not found.runs_on(gpu.capability):
            command = "pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu130"
            return Check("cuda", "broken", f"{text}; not for {gpu.name} (sm_{gpu.capability})", command)
    return Check("cuda", "works", text)


def _extensions(machine: Machine) -> list[Check]:
    checks = []
    for name, command in EXTENSIONS.items():
        if not machine.has_module(name):
            if command.startswith("sh "):
                why = "trellis2 attends through torch" if name == "flash_attn" else "trellis2 needs it"
                checks.append(Check(f"{name} wheel", "missing", f"not installed; {why}", command))
            continue
        found = _built_for(name)
        if not found.code and not found.ptx:
            checks.append(Check(f"{name} wheel", "missing", f"{_version(name)}, holds no GPU code", command))
            continue
        wanted = sorted({*DEPLOYED, *(gpu.capability for gpu in machine.gpus)})
        lost = [f"sm_{one}" for one in wanted if not found.runs_on(one)]
        here = [gpu for gpu in machine.gpus if not found.runs_on(gpu.capability)]
        text = f"{_version(name)}, built for {found}" + (f"; not for {', '.join(lost)}" if lost else "")
        checks.append(Check(f"{name} wheel", "broken" if here else "works", text, command if lost else ""))
    return checks


def _built_for(module: str) -> Architectures:
    """Join the architectures of all shared libraries of a package and of the compiled modules beside it."""
    folder = _folder(module)
    libraries = [*folder.rglob("*.so"), *folder.parent.glob(f"*{module}*.so")]
    found = [read_architectures(path) for path in libraries]
    return Architectures(frozenset().union(*(one.code for one in found)), frozenset().union(*(one.ptx for one in found)))


def _folder(module: str) -> Path:
    """Say where a package that can be imported lies."""
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"no package {module}", name=module)
    return Path(spec.submodule_search_locations[0])


def _disk(what: str, folder: Path) -> Check:
    place = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free / 1e9
    state = "works" if free >= ROOM_GB else "broken"
    return Check(f"disk, {what}", state, f"{free:.0f} GB free at {place}", "" if state == "works" else f"make room at {place}")


def _access(root: Path, endpoint: str | None, *, online: bool) -> list[Check]:
    """Ask the hub who we are, and whether each model can be read at its pinned revision."""
    if not online:
        return [Check("hub account", "missing", "not asked (--offline)")]
    account = hub_account(endpoint)
    checks = [Check("hub account", "works" if account.name else "missing", account.found, account.command)]
    if not account.answers:
        return checks
    sources = {source.repo: source for one in load_pins(root).values() for source in one.weights}
    faults = {repo: readable(source, endpoint) for repo, source in sources.items()}
    for repo, fault in faults.items():
        if fault or sources[repo].gated:
            checks.append(Check(f"access to {repo}", "missing" if fault else "works", *(fault or ("granted", ""))))
    good = [repo for repo, fault in faults.items() if not fault]
    return [*checks, Check("models", "works" if good else "missing", f"{len(good)} of {len(faults)} can be read as pinned")]


def _backends(content: Path, machine: Machine, root: Path) -> list[Check]:
    """Say of every backend whether it could run now."""
    built_in = [Check(f"backend {name}", "works", "built in, needs nothing") for name in ("hull", "humanoid")]
    checks = [*built_in, _matte()]
    try:
        project = load_project(content)
    except ManifestError:
        project = Project()
    for one in load_pins(root).values():
        name = f"backend {one.name}"
        info = CATALOG.get(one.name)
        fault = licence_fault(info, project) if info else ""
        missing = lacks(one, machine, root)
        if fault:
            checks.append(
                Check(name, "missing", f"licence: {fault}", "correct project: in forge.yaml, if it may be used there")
            )
        elif missing:
            kinds = ", ".join(dict.fromkeys(lack.kind for lack in missing))
            checks.append(Check(name, "missing", f"{kinds}: {unavailable_text(one.name, missing)}", missing[0].command))
        else:
            checks.append(Check(name, "works", f"{one.title}; {one.licence}"))
    return checks


def _matte() -> Check:
    model = matting.MODELS[0]
    try:
        matting.locate(model)
    except BackendUnavailable as error:
        return Check("backend rembg", "missing", error.message, error.hint)
    return Check("backend rembg", "works", f"cuts out with {model}")


def _version(module: str) -> str:
    names = importlib.metadata.packages_distributions().get(module, [module])
    try:
        return f"{names[0]} {importlib.metadata.version(names[0])}"
    except importlib.metadata.PackageNotFoundError:
        return "of unknown version"
