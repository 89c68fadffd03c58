#!/bin/sh
# Build wheels of the compiled extensions that the learned backends need: `sh vendor/build_wheels.sh --help` says how.
set -eu

HERE=$(cd "$(dirname "$0")/.." && pwd)
PYTHON=${PYTHON:-python3}
DIR=''
OUT=dist/wheels
WORK=''
NAMES=''

usage() {
    cat <<'TEXT'
Build wheels of the compiled extensions that the learned backends need, once, on a machine with nvcc: a Space cannot compile while
it is built. They fit the Python and the torch that build them, and the GPUs of TORCH_CUDA_ARCH_LIST.

usage: sh vendor/build_wheels.sh [--from DIR] [--out DIR] [--work DIR] [NAME...]

  NAME         flex_gemm, cumesh, o_voxel (all three if none is named), or flash_attn, which takes an hour and which torch
               stands in for. Several are built side by side
  --from DIR   ask no network: DIR/OWNER/NAME/ holds the sources of each repository, DIR/cubvh/ and DIR/eigen3/ what two of
               them include, DIR/flash_attn-2.8.3.tar.gz PyPI's source of flash_attn
  --out DIR    where wheels, SHA256SUMS and the builds' logs go (dist/wheels)
  --work DIR   where it is built (a new folder below TMPDIR); a build that was stopped goes on there

  PYTHON                 the interpreter that will import them (python3)
  CUDA_HOME              the toolkit, where the nvcc on PATH does not lie in its bin folder
  TORCH_CUDA_ARCH_LIST   9.0;12.0: H200, and the RTX PRO 6000 of ZeroGPU
  MAX_JOBS               compilers at a time for each NAME (one a core, and one for 4 GB of memory)
  ANY_SOURCE=1           build sources of another commit than the pinned one all the same

examples:
  sh vendor/build_wheels.sh
  sh vendor/build_wheels.sh --out /mnt/wheels flex_gemm cumesh
  sh vendor/build_wheels.sh --from /mnt/sources --work /tmp/wheels flex_gemm o_voxel cumesh
  TORCH_CUDA_ARCH_LIST=9.0 sh vendor/build_wheels.sh flex_gemm
TEXT
}

refuse() { # STATUS WHAT WHAT_TO_DO
    printf 'build_wheels: %s\n           -> %s\n' "$2" "$3" >&2
    exit "$1"
}

value() { # OPTION and what follows it
    [ $# -ge 2 ] || refuse 2 "$1 needs a folder" "see --help"
}

while [ $# -gt 0 ]; do
    case $1 in
    -h | --help) usage; exit 0 ;;
    --from) value "$@"; DIR=$2; shift ;;
    --out) value "$@"; OUT=$2; shift ;;
    --work) value "$@"; WORK=$2; shift ;;
    -*) refuse 2 "there is no option $1" "see --help" ;;
    flash_attn | flex_gemm | cumesh | o_voxel) NAMES="$NAMES $1" ;;
    *) refuse 2 "there is no recipe for $1" "write flash_attn, flex_gemm, cumesh or o_voxel" ;;
    esac
    shift
done
NAMES=${NAMES:-flex_gemm cumesh o_voxel}

TORCH_CUDA_ARCH_LIST=${TORCH_CUDA_ARCH_LIST:-9.0;12.0}
ARCHITECTURES=$(echo "$TORCH_CUDA_ARCH_LIST" | tr ';' ' ' | sed 's/+PTX//g; s/\.//g; s/[af]\( \|$\)/\1/g')
CORES=$(nproc)
ROOM=$(awk '/MemAvailable/ { print int($2 / 4e6) }' /proc/meminfo 2>/dev/null || true)
MAX_JOBS=${MAX_JOBS:-$([ "${ROOM:-0}" -ge 1 ] && [ "$ROOM" -lt "$CORES" ] && echo "$ROOM" || echo "$CORES")}
FLASH_ATTN_CUDA_ARCHS=${FLASH_ATTN_CUDA_ARCHS:-$(echo "$ARCHITECTURES" | tr ' ' ';')}
# nvcc compiles for one architecture after the other unless it is told that it has threads
NVCC_APPEND_FLAGS=${NVCC_APPEND_FLAGS:---threads 2}
export TORCH_CUDA_ARCH_LIST MAX_JOBS FLASH_ATTN_CUDA_ARCHS NVCC_APPEND_FLAGS

# --- what must be there before hours are spent

command -v "$PYTHON" >/dev/null || refuse 1 "$PYTHON is missing" "name the interpreter by PYTHON=..."
command -v nvcc >/dev/null ||
    refuse 1 "nvcc is missing" "use an image with the CUDA toolkit of torch's release, or put its bin folder on PATH"
command -v c++ >/dev/null || refuse 1 "a C++ compiler is missing" "apt-get install g++"
# without it each library brings a C++ runtime of its own, and o_voxel ends in a segmentation fault when it writes a number
[ "$(c++ -print-file-name=libstdc++.so)" != libstdc++.so ] ||
    refuse 1 "c++ finds no shared libstdc++.so" "apt-get install libstdc++-$(c++ -dumpversion | cut -d. -f1)-dev"
[ -n "$DIR" ] || command -v git >/dev/null || refuse 1 "git is missing" "apt-get install git, or use --from DIR"
[ -z "$DIR" ] || [ -d "$DIR" ] || refuse 1 "$DIR is no folder" "put the sources there: see --help"

MISSING=$("$PYTHON" -c '
import importlib.util, sys
print(*(name for name in sys.argv[1:] if importlib.util.find_spec(name) is None))' pip setuptools wheel ninja) ||
    refuse 1 "$PYTHON does not run" "name another interpreter by PYTHON=..."
[ -z "$MISSING" ] || refuse 1 "$PYTHON lacks: $MISSING" "$PYTHON -m pip install $MISSING"

# architectures are words
# shellcheck disable=SC2086
"$PYTHON" - $ARCHITECTURES <<'CHECK' || exit 1
import re, subprocess, sys


def refuse(what: str, what_to_do: str) -> None:
    sys.exit(f"build_wheels: {what}\n           -> {what_to_do}")


if not (3, 11) <= sys.version_info < (3, 13):
    refuse(f"Python {sys.version.split()[0]} builds wheels that forge-batch cannot use", "use 3.12 (a Space) or 3.11: PYTHON=...")
try:
    import torch
except ImportError:
    refuse(
        f"{sys.executable} has no torch", "pip install torch==2.11.0 --index-url https://download.pytorch.org/whl/cu130"
    )
said = subprocess.run(["nvcc", "--version"], capture_output=True, text=True, check=False).stdout
found = re.search(r"release (\d+)\.(\d+)", said)
if torch.version.cuda is None:
    refuse(
        f"torch {torch.__version__} was built without CUDA",
        "pip install torch==2.11.0 --index-url https://download.pytorch.org/whl/cu130",
    )
if found is None:
    refuse("nvcc does not say its release", "run nvcc --version")
if torch.version.cuda.split(".")[0] != found[1]:
    refuse(
        f"torch {torch.__version__} is for CUDA {torch.version.cuda}, nvcc is of {found[1]}.{found[2]}",
        "take both of the same release: the toolkit, or torch from https://download.pytorch.org/whl/cuNNN",
    )
oldest = {"100": (12, 8), "103": (12, 9), "120": (12, 8), "121": (12, 9)}
for one in sys.argv[1:]:
    if (int(found[1]), int(found[2])) < oldest.get(one, (0, 0)):
        refuse(f"nvcc {found[1]}.{found[2]} does not know sm_{one}", "use CUDA 13.0, or another TORCH_CUDA_ARCH_LIST")
if sys.version_info[:2] != (3, 12):
    print(f"note: these wheels are for Python {sys.version_info[0]}.{sys.version_info[1]}; ZeroGPU has 3.12", file=sys.stderr)
architectures = ", ".join(f"sm_{one}" for one in sys.argv[1:])
print(f"building for {architectures} with torch {torch.__version__}, CUDA {found[1]}.{found[2]}, Python {sys.version.split()[0]}")
CHECK

# --- the sources

mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd)
if [ -n "$WORK" ]; then
    mkdir -p "$WORK"
    WORK=$(cd "$WORK" && pwd)
else
    WORK=$(mktemp -d)
    trap 'rm -rf "$WORK"' EXIT
    trap 'exit 143' INT TERM HUP
fi
[ -z "$DIR" ] || DIR=$(cd "$DIR" && pwd)

digest() { # FOLDER PATH...: sha256 over the `sha256sum` lines of the files, sorted by path
    (cd "$1" && shift && find "$@" -type f ! -path '*/__pycache__/*' ! -name '*.so' | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -d' ' -f1)
}

take() { # FOLDER OWNER/NAME COMMIT DIGEST BELOW PATH...: sources of a commit, told by the files that are compiled
    folder=$WORK/$1 repository=$2 commit=$3 wanted=$4 below=$5
    shift 5
    if [ ! -f "$folder/.taken" ]; then
        rm -rf "$folder"
        if [ -n "$DIR" ]; then
            [ -d "$DIR/$repository" ] || refuse 1 "$DIR/$repository is missing" "put the files of https://github.com/$repository at $commit there"
            mkdir -p "$folder"
            cp -R "$DIR/$repository/." "$folder"
            rm -rf "$folder/.git" "$folder/build"
        else
            git init -q "$folder"
            git -C "$folder" fetch -q --depth 1 "https://github.com/$repository.git" "$commit" ||
                refuse 1 "https://github.com/$repository at $commit cannot be fetched" "try again, or bring it by hand and use --from DIR"
            git -C "$folder" checkout -q FETCH_HEAD
        fi
        found=$(digest "$folder/$below" "$@")
        [ "$found" = "$wanted" ] || [ "${ANY_SOURCE:-}" = 1 ] ||
            refuse 1 "the sources of $repository are not those of $commit (their digest is $(echo "$found" | cut -c1-12), pinned is $(echo "$wanted" | cut -c1-12))" \
                "bring exactly that commit, or write ANY_SOURCE=1"
        touch "$folder/.taken"
    fi
}

eigen() { # FOLDER: it is a submodule at another host; the distribution's headers serve
    [ ! -d "$1/Eigen" ] || return 0
    for place in ${EIGEN:+"$EIGEN"} ${DIR:+"$DIR/eigen3"} /usr/include/eigen3; do
        if [ -f "$place/Eigen/Core" ]; then
            rm -rf "$1"
            mkdir -p "$(dirname "$1")"
            cp -R "$place" "$1"
            return 0
        fi
    done
    refuse 1 "Eigen's headers are missing" "apt-get install libeigen3-dev, or put them at ${DIR:-DIR}/eigen3"
}

cubvh() { # FOLDER: a submodule of CuMesh, held by the commit that CuMesh names
    [ ! -f "$1/src/bvh.cu" ] || return 0
    if [ -z "$DIR" ]; then
        git -C "$1" submodule update -q --init --depth 1 . || refuse 1 "CuMesh's submodule cubvh cannot be fetched" "try again, or use --from DIR"
        return 0
    fi
    for place in "$DIR/JeffreyXiang/cubvh" "$DIR/ashawkey/cubvh" "$DIR/cubvh"; do
        if [ -f "$place/src/bvh.cu" ]; then
            rm -rf "$1"
            cp -R "$place" "$1"
            echo "note: cubvh is taken from $place as it is" >&2
            return 0
        fi
    done
    refuse 1 "$DIR/cubvh is missing" "put the files of https://github.com/JeffreyXiang/cubvh, branch trellis.2, there"
}

for name in $NAMES; do
    case $name in
    flex_gemm)
        take flex_gemm JeffreyXiang/FlexGEMM 6dd94a859c26ee8246888502eada3dd8ad85532e \
            a6b0e21b5e72cab55e82bd5f71e1ae2c8d407827ae31178d1dd0bca6b3faf252 . setup.py autotune_cache.json flex_gemm
        ;;
    cumesh)
        # not older than 746e05b (2025-12-24): before it, CUB's Sum is used, which CUDA 13 no longer has
        take cumesh JeffreyXiang/CuMesh cf1a2f07304b5fe388ed86a16e4a0474599df914 \
            a1e3764120f4b794866cf9884cf57af30f599f0b7d8b340e329f50508123feb1 . setup.py src cumesh third_party/xatlas
        cubvh "$WORK/cumesh/third_party/cubvh"
        eigen "$WORK/cumesh/third_party/cubvh/third_party/eigen"
        ;;
    o_voxel)
        take trellis2 microsoft/TRELLIS.2 5565d240c4a494caaf9ece7a554542b76ffa36d3 \
            b13cdaa44dad73ed943e6c87258761cca9c50fd6c5325ccbaa7b10de1fc12e53 o-voxel setup.py src o_voxel
        eigen "$WORK/trellis2/o-voxel/third_party/eigen"
        ;;
    flash_attn)
        [ -z "$DIR" ] || [ -f "$DIR/flash_attn-2.8.3.tar.gz" ] ||
            refuse 1 "$DIR/flash_attn-2.8.3.tar.gz is missing" "put PyPI's source there, or do not name flash_attn"
        ;;
    esac
done

# --- the builds, side by side

build() { # NAME: its wheel alone into OUT/NAME.part
    case $1 in
    flex_gemm | cumesh) source=$WORK/$1 ;;
    o_voxel) source=$WORK/trellis2/o-voxel ;;
    flash_attn) source=${DIR:+$DIR/flash_attn-2.8.3.tar.gz} ;;
    esac
    # setup.py of flex_gemm writes a file below HOME, which is not this machine's business
    mkdir -p "$WORK/home"
    FLASH_ATTENTION_FORCE_BUILD=TRUE HOME=$WORK/home PYTHONUSERBASE=$("$PYTHON" -m site --user-base) "$PYTHON" -m pip wheel -v --no-deps --no-build-isolation \
        ${DIR:+--no-index} --no-binary flash-attn --wheel-dir "$OUT/$1.part" "${source:-flash-attn==2.8.3}"
}

START=$(date +%s)
for name in $NAMES; do
    rm -rf "$OUT/$name.part"
    (
        build "$name" >"$OUT/$name.log" 2>&1 && status=0 || status=$?
        echo "$status $(($(date +%s) - START))" >"$OUT/$name.status"
    ) &
done
wait

FAILED=
for name in $NAMES; do
    read -r status seconds <"$OUT/$name.status"
    rm -f "$OUT/$name.status"
    if [ "$status" -eq 0 ]; then
        mv "$OUT/$name.part"/*.whl "$OUT"
        echo "built $name in $seconds s"
    else
        FAILED="$FAILED $name"
        echo "$name failed after $seconds s; the last of $OUT/$name.log:" >&2
        tail -n 15 "$OUT/$name.log" >&2
    fi
    rm -rf "$OUT/$name.part"
done

# --- what came of it

if ls "$OUT"/*.whl >/dev/null 2>&1; then
    # architectures are words
    # shellcheck disable=SC2086
    PYTHONPATH=$HERE "$PYTHON" -m forge_batch.backends.vendored.wheels "$OUT" $ARCHITECTURES || FAILED="$FAILED architectures"
    (cd "$OUT" && sha256sum ./*.whl >SHA256SUMS)
    echo "wheels and SHA256SUMS are in $OUT"
fi
[ -z "$FAILED" ] || refuse 1 "not all is well:$FAILED" "read the log; --work DIR lets the next call go on where this one stopped"
