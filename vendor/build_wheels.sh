#!/bin/sh
# Build wheels of the compiled extensions that the learned backends need, once, on a machine with nvcc: a Space cannot compile at
# its build time. Run with the Python and torch that will import them.
#
#   sh vendor/build_wheels.sh                      all of them into dist/wheels
#   sh vendor/build_wheels.sh cumesh flex_gemm     only these
#   OUT=/mnt/wheels sh vendor/build_wheels.sh
#
# Needed: git, a C++17 compiler, nvcc of the CUDA release that torch was built with, Eigen 3.4 headers (apt: libeigen3-dev),
# and in the environment: torch, pip, setuptools, wheel, ninja, numpy. About two minutes a source file on one core.
set -eu

PYTHON=${PYTHON:-python}
OUT=${OUT:-dist/wheels}
WORK=${WORK:-$(mktemp -d)}
EIGEN=${EIGEN:-/usr/include/eigen3}
# sm_90: H200; sm_120: RTX PRO 6000 of ZeroGPU
export TORCH_CUDA_ARCH_LIST=${TORCH_CUDA_ARCH_LIST:-"9.0;12.0"}
export MAX_JOBS=${MAX_JOBS:-$(nproc)}
export FLASH_ATTN_CUDA_ARCHS=${FLASH_ATTN_CUDA_ARCHS:-"90;120"}

mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd)

take() { # NAME REPOSITORY COMMIT: an exact checkout with its submodules
    rm -rf "${WORK:?}/$1"
    git init -q "$WORK/$1"
    git -C "$WORK/$1" fetch -q --depth 1 "https://github.com/$2.git" "$3"
    git -C "$WORK/$1" checkout -q FETCH_HEAD
    test "$(git -C "$WORK/$1" rev-parse HEAD)" = "$3" || { echo "$2 came as another commit than $3" >&2; exit 1; }
}

wheel() { # FOLDER
    "$PYTHON" -m pip wheel --no-deps --no-build-isolation --wheel-dir "$OUT" "$1"
}

flash_attn() {
    # 2.8.3 is the first with sm_120; its wheel is of PyPI's source
    FLASH_ATTENTION_FORCE_BUILD=TRUE "$PYTHON" -m pip wheel --no-deps --no-build-isolation --no-binary flash-attn \
        --wheel-dir "$OUT" "flash-attn==2.8.3"
}

flex_gemm() {
    take flex_gemm JeffreyXiang/FlexGEMM 6dd94a859c26ee8246888502eada3dd8ad85532e
    wheel "$WORK/flex_gemm"
}

cumesh() {
    # not older than 746e05b (2025-12-24): before it, CUB's Sum is used, which CUDA 13 no longer has
    take cumesh JeffreyXiang/CuMesh cf1a2f07304b5fe388ed86a16e4a0474599df914
    git -C "$WORK/cumesh" submodule update -q --init --depth 1 third_party/cubvh
    eigen "$WORK/cumesh/third_party/cubvh/third_party/eigen"
    wheel "$WORK/cumesh"
}

o_voxel() {
    take trellis2 microsoft/TRELLIS.2 5565d240c4a494caaf9ece7a554542b76ffa36d3
    eigen "$WORK/trellis2/o-voxel/third_party/eigen"
    wheel "$WORK/trellis2/o-voxel"
}

eigen() { # FOLDER: its submodule lies at another host; the distribution's headers serve
    test -f "$EIGEN/Eigen/Core" || { echo "Eigen is missing at $EIGEN: apt-get install libeigen3-dev, or set EIGEN" >&2; exit 1; }
    rm -rf "$1"
    mkdir -p "$(dirname "$1")"
    cp -r "$EIGEN" "$1"
}

command -v nvcc >/dev/null || { echo "nvcc is missing: use an image with the CUDA toolkit" >&2; exit 1; }
"$PYTHON" - <<'CHECK'
import re, subprocess, sys, torch
found = re.search(r"release (\d+)\.", subprocess.run(["nvcc", "--version"], capture_output=True, text=True).stdout)
if torch.version.cuda is None or found is None or torch.version.cuda.split(".")[0] != found[1]:
    sys.exit(f"torch {torch.__version__} is for CUDA {torch.version.cuda}, nvcc is of {found and found[1]}: take the same release")
CHECK

for name in ${*:-flex_gemm cumesh o_voxel flash_attn}; do
    case $name in
        flash_attn | flex_gemm | cumesh | o_voxel) "$name" ;;
        *) echo "there is no recipe for $name: write flash_attn, flex_gemm, cumesh or o_voxel" >&2; exit 2 ;;
    esac
done
(cd "$OUT" && sha256sum ./*.whl > SHA256SUMS)
ls -l "$OUT"
