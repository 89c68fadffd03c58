"""Rig any creature with SkinTokens (TokenRig) or UniRig, each a program of its own in an environment of its own.

Both own the module name `src`, need Blender's bpy, and contain code under the GPL: they are run, never imported. Both end with
status 0 whatever happened, so a run is judged by the file it leaves. Its mesh is thrown away: joints and weights are brought
over to ours (ops.skin_transfer), and joints that stand where an upright figure has them get the Mannequin's names.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import trimesh
from filelock import FileLock

from forge_batch.backends.contract import BackendInfo
from forge_batch.backends.vendored.machine import Machine
from forge_batch.backends.vendored.pins import VENDOR, Package, package
from forge_batch.backends.vendored.readiness import require
from forge_batch.errors import BackendUnavailable, StageError
from forge_batch.ops.humanoid import fit_humanoid, upright_solid
from forge_batch.ops.match_joints import match_joints
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.rig import Rig, Rigged, rig_fault
from forge_batch.ops.skin_transfer import transfer_rig
from forge_batch.ops.skinned_fbx import read_skinned_fbx
from forge_batch.ops.skinned_glb import decode_skinned_glb
from forge_batch.packages.mannequin import mannequin_names

BOOT = Path(__file__).parent / "vendored" / "rigger_boot.py"
TIMEOUT = 900.0
"""Seconds for a whole run, the loading of weights included: UniRig takes 46 s, a cold disk several times that."""
GRACE = 10.0
"""Seconds a program has to end by itself when it is told to."""
OFF = 0.02
"""Weights of a vertex that sum to 1 within this are brought to 1: formats round them."""
NAMED = 0.9
"""How sure a joint is whose own name says which it is."""
AGAIN = "try another seed, or another rig.backend"

Step = tuple[str, ...]


def info(name: str, root: Path = VENDOR) -> BackendInfo:
    """Say what rigs and under which licence."""
    one = package(name, root)
    assert one.code is not None
    return BackendInfo(name, one.code.revision[:12], one.licence, commercial=True, territory="worldwide", fetch=one.fetch)


def make_rig(
    name: str,
    mesh: Mesh,
    seed: int,
    progress: Callable[[float, str], None],
    root: Path = VENDOR,
    machine: Machine | None = None,
    timeout: float = TIMEOUT,
) -> Rigged:
    """Give skeleton and weights for every vertex of a mesh.

    Args:
        name: `skintokens` or `unirig`.
        mesh: In house space.
        seed: The only randomness, as far as the GPU is repeatable.
        progress: Told a fraction and a few words.
        root: The vendor folder.
        machine: What there is; looked for if left out.
        timeout: Seconds until it is ended.

    Raises:
        BackendUnavailable: Code, weights, its environment, a library in it or the GPU is missing; the hint mends the first.
        StageError: It ended without a rig, gave one that no engine could use, or rigged another shape.
    """
    one = require(name, root, machine)
    with FileLock(root / name / "running.lock"), tempfile.TemporaryDirectory(prefix="rigger-") as place:
        folder = Path(place)
        _lay_out(one, root, folder)
        _write(mesh, folder / "mesh.glb")
        steps, result = PROGRAMS[name](seed)
        for number, step in enumerate(steps):
            progress(0.9 * number / len(steps), f"{name}, step {number + 1} of {len(steps)}")
            _run(one, root, folder, seed, step, timeout / len(steps))
        copy, rig = _read(name, folder / result, folder)
    rig, distance = transfer_rig(copy, _sound(name, copy, rig), mesh)
    rig, confidence, matched = name_joints(rig, mesh)
    return Rigged(rig, confidence, {"matched_joints": matched, "surface_distance": round(distance, 5)})


def name_joints(rig: Rig, mesh: Mesh) -> tuple[Rig, dict[str, float], int]:
    """Give joints the Mannequin's names, by their own or by where they stand; say how sure each is, and how many were matched.

    A joint that is none of the Mannequin's keeps its name and has a confidence of 0.
    """
    named = mannequin_names(rig.names)
    if 2 * len(named.matched) >= len(rig.names):
        sure = {new: NAMED if old in named.matched else 0.0 for old, new in zip(rig.names, named.names, strict=True)}
        return replace(rig, names=tuple(named.names)), sure, len(named.matched)
    try:
        found = fit_humanoid(upright_solid(mesh))
    except StageError:  # no upright figure: nothing to go by
        return rig, dict.fromkeys(rig.names, 0.0), 0
    matched = match_joints(rig, found, float(np.ptp(mesh.vertices[:, 1])))
    taken = {name for name, _ in matched.values()}
    own = [f"{name}_own" if name in taken else name for name in rig.names]
    names = tuple(matched[index][0] if index in matched else name for index, name in enumerate(own))
    sure = {name: matched[index][1] if index in matched else 0.0 for index, name in enumerate(names)}
    return replace(rig, names=names), sure, len(matched)


def _skintokens(_: int) -> tuple[list[Step], str]:
    """Say how SkinTokens is called, and what it leaves. It takes no seed: what starts it sets that."""
    checkpoint = ("--model_ckpt", "experiments/articulation_xl_quantization_256_token_4/grpo_1400.ckpt")
    sampling = {"top_k": "5", "top_p": "0.95", "temperature": "1.0", "repetition_penalty": "2.0", "num_beams": "10"}
    options = [word for key, value in sampling.items() for word in (f"--{key}", value)]
    paths = ("--input", "mesh.glb", "--output", "rigged.glb")
    return [("demo.py", *paths, "--use_transfer", "--use_postprocess", *options, *checkpoint)], "rigged.glb"


def _unirig(seed: int) -> tuple[list[Step], str]:
    """Say how UniRig is called, and what it leaves: not its merged file, for its merge mirrors symmetric meshes."""

    def extract(source: str) -> Step:
        kinds = ("--require_suffix=obj,fbx,FBX,dae,glb,gltf,vrm", "--faces_target_count=50000", "--force_override=true")
        share = ("--num_runs=1", "--id=0", "--time=0")
        paths = (f"--input={source}", "--output_dir=npz")
        return ("-m", "src.data.extract", "--config=configs/data/quick_inference.yaml", *kinds, *share, *paths)

    def predict(task: str, source: str, output: str, *more: str) -> Step:
        paths = (f"--input={source}", f"--output={output}", "--npz_dir=npz")
        return ("run.py", f"--task=configs/task/quick_inference_{task}.yaml", f"--seed={seed}", *paths, *more)

    skeleton = predict("skeleton_articulationxl_ar_256", "mesh.glb", "skeleton.fbx")
    skin = predict("unirig_skin", "skeleton.fbx", "skin.fbx", "--data_name=raw_data.npz")
    return [extract("mesh.glb"), skeleton, extract("skeleton.fbx"), skin], "skin.fbx"


PROGRAMS: dict[str, Callable[[int], tuple[list[Step], str]]] = {"skintokens": _skintokens, "unirig": _unirig}


def _lay_out(one: Package, root: Path, folder: Path) -> None:
    """Make the folder that a program runs in: a copy of its code, and links to what it looks for beside it."""
    assert one.code is not None
    shutil.copytree(one.folder(one.code, root), folder, dirs_exist_ok=True)
    for source in one.weights:
        here = one.folder(source, root).resolve()
        if source.place:
            # a folder of that name is what their libraries look for before they ask the hub
            (folder / source.place).parent.mkdir(parents=True, exist_ok=True)
            (folder / source.place).symlink_to(here, target_is_directory=True)
        elif (here / "experiments").is_dir():
            (folder / "experiments").symlink_to(here / "experiments", target_is_directory=True)


def _write(mesh: Mesh, path: Path) -> None:
    """Write the surface alone, its seams closed."""
    points, back = np.unique(mesh.vertices, axis=0, return_inverse=True)
    faces = back.reshape(-1)[mesh.faces]
    path.write_bytes(bytes(trimesh.Trimesh(points, faces, process=False).export(file_type="glb")))


def _run(one: Package, root: Path, folder: Path, seed: int, step: Step, timeout: float) -> None:
    """Run one program; what it says also goes to the asset's log, and its status is not believed if it is 0."""
    weights = (root / one.name / "weights").resolve()
    command = [str(one.python(root).absolute()), str(BOOT), str(weights), str(seed), *step]
    log = folder / "log.txt"
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=folder, stdout=file, stderr=file, stdin=subprocess.DEVNULL)  # noqa: S603 - pinned code
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise StageError(f"{one.name} did not end within {timeout:g} s", AGAIN) from None
        finally:
            _end(process)
            sys.stderr.write(log.read_text(errors="replace"))
    _blame(one, log.read_text(errors="replace").splitlines(), process.returncode)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask a program to end, and make it."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _blame(one: Package, lines: Sequence[str], status: int) -> None:
    """Raise what the output says plainly; anything else is left to the file that should be there."""
    last = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
    if missing := next((line for line in lines if line.startswith(("ModuleNotFoundError", "ImportError"))), ""):
        raise BackendUnavailable(f"{one.name} cannot run: {missing}", f"sh vendor/make_environment.sh {one.name}")
    if any("out of memory" in line.lower() for line in lines):
        raise StageError(f"{one.name} ran out of GPU memory ({one.gpu_gb:g} GB are needed)", "use a larger card")
    if status:
        raise StageError(f"{one.name} failed with status {status}: {last[:200]}", AGAIN)


def _read(name: str, path: Path, folder: Path) -> tuple[Mesh, Rig]:
    """Read what was left."""
    if not path.is_file() or not path.stat().st_size:
        lines = (folder / "log.txt").read_text(errors="replace").splitlines()
        last = next((line.strip() for line in reversed(lines) if line.strip()), "nothing")
        raise StageError(f"{name} left no {path.name}; the last it said: {last[:200]}", AGAIN)
    if path.suffix == ".fbx":
        return read_skinned_fbx(path, folder)
    return decode_skinned_glb(path.read_bytes(), path.name)


def _sound(name: str, copy: Mesh, rig: Rig) -> Rig:
    """Look at a rig as it came, and bring its weights to a sum of exactly 1."""
    if len(rig.names) < 2:
        raise StageError(f"{name} gave a skeleton of one joint, which bends nothing", AGAIN)
    sums = rig.weights.sum(axis=1, dtype=np.float64)
    if not np.isfinite(rig.weights).all() or not np.isfinite(rig.joints).all():
        raise StageError(f"{name} gave weights or joints that are no numbers", AGAIN)
    off = int((np.abs(sums - 1.0) > OFF).sum())
    if off:
        raise StageError(f"{name} left {off} of {len(sums)} vertices with weights that do not sum to 1", AGAIN)
    rig = replace(rig, weights=(rig.weights / sums[:, None]).astype(np.float32))
    if fault := rig_fault(rig, len(copy.vertices)):
        raise StageError(f"{name} gave no sound rig: {fault}", AGAIN)
    return rig
