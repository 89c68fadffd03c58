#!/bin/sh
# Make the environment that a rigger runs in: `sh vendor/make_environment.sh --help` says how.
set -eu

HERE=$(cd "$(dirname "$0")" && pwd)
PYTHON=${PYTHON:-python3.11}
DIR=''
GPU=yes
NAME=''

usage() {
    cat <<'TEXT'
Make the environment that a rigger runs in: vendor/NAME/env. Riggers are programs of their own and are never imported by ours.
What it holds stands in vendor/NAME.txt; an environment that exists already may be linked to vendor/NAME/env instead.

usage: sh vendor/make_environment.sh [--from DIR] [--without-gpu] NAME

  NAME            skintokens or unirig
  --from DIR      ask no network: DIR holds the wheels of everything
  --without-gpu   leave out what only a GPU needs: it can be looked at, and cannot rig

  PYTHON          Python 3.11: Blender's bpy has wheels for 3.11 and 3.13 alone (python3.11)
  TORCH           another torch than the pinned one, from the ordinary index, such as torch==2.13.0
  MAX_JOBS        compilers at a time, for unirig's flash_attn, torch_scatter and torch_cluster (one a core)

examples:
  sh vendor/make_environment.sh skintokens
  PYTHON=/opt/python3.11/bin/python sh vendor/make_environment.sh unirig
  sh vendor/make_environment.sh --from /mnt/wheels skintokens
  ln -s /opt/skintokens vendor/skintokens/env
TEXT
}

refuse() { # STATUS WHAT WHAT_TO_DO
    printf 'make_environment: %s\n               -> %s\n' "$2" "$3" >&2
    exit "$1"
}

while [ $# -gt 0 ]; do
    case $1 in
    -h | --help) usage; exit 0 ;;
    --from)
        [ $# -ge 2 ] || refuse 2 "--from needs a folder" "see --help"
        DIR=$2
        shift
        ;;
    --without-gpu) GPU=no ;;
    -*) refuse 2 "there is no option $1" "see --help" ;;
    skintokens | unirig) NAME=$1 ;;
    *) refuse 2 "there is no rigger $1" "write skintokens or unirig" ;;
    esac
    shift
done

case $NAME in
skintokens)
    CUDA=13.0
    PINNED="torch==2.11.0 torchvision==0.26.0"
    WHEELS=''
    COMPILED=''
    MODULES="torch transformers diffusers lightning einops omegaconf open3d bpy box addict bottle tornado gradio requests tqdm"
    ;;
unirig)
    # spconv has no wheels for CUDA 13; 12.6 is its last
    CUDA=12.6
    PINNED="torch==2.7.1 torchvision==0.22.1"
    WHEELS="spconv-cu126==2.3.8"
    COMPILED="flash-attn==2.8.3 torch_scatter==2.1.2 torch_cluster==1.6.3"
    MODULES="torch transformers lightning pytorch_lightning einops omegaconf open3d bpy box addict timm pyrender trimesh"
    ;;
*) refuse 2 "no rigger is named" "write skintokens or unirig; see --help" ;;
esac
PLACE=$HERE/$NAME/env

# --- what must be there before gigabytes are fetched

command -v "$PYTHON" >/dev/null || refuse 1 "$PYTHON is missing" "install Python 3.11, or name it by PYTHON=..."
FOUND=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])') || refuse 1 "$PYTHON does not run" "name another by PYTHON=..."
[ "$FOUND" = 3.11 ] || refuse 1 "$PYTHON is $FOUND, and bpy 4.2 has wheels for 3.11 alone" "install Python 3.11, or name it by PYTHON=..."
"$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || refuse 1 "$PYTHON cannot make environments" "apt-get install python3.11-venv"
if [ -n "$DIR" ]; then
    [ -d "$DIR" ] || refuse 1 "$DIR is no folder" "put the wheels there, or leave --from out"
    DIR=$(cd "$DIR" && pwd)
elif [ "$GPU" = yes ] && [ -n "$COMPILED" ]; then
    command -v nvcc >/dev/null || refuse 1 "nvcc is missing, and $COMPILED must be compiled" \
        "use an image with the CUDA toolkit $CUDA, or --from DIR with their wheels, or --without-gpu"
    TOOLKIT=$(nvcc --version | sed -n 's/.*release \([0-9.]*\),.*/\1/p')
    [ "${TOOLKIT%%.*}" = "${CUDA%%.*}" ] ||
        refuse 1 "nvcc is of CUDA $TOOLKIT, $NAME's torch is for $CUDA" "use the CUDA toolkit $CUDA, or --from DIR with wheels"
fi
FREE=$(df -Pk "$HERE" | awk 'NR == 2 { print int($4 / 1e6) }')
WANTED=$([ "$GPU" = yes ] && echo 12 || echo 6)
[ "$FREE" -ge "$WANTED" ] || refuse 1 "$FREE GB are free at $HERE, $WANTED are needed" "make room there"

# --- the environment, beside its place until it is whole

mkdir -p "$HERE/$NAME"
rm -rf "$PLACE.part"
trap 'rm -rf "$PLACE.part"' EXIT
trap 'exit 143' INT TERM HUP
"$PYTHON" -m venv "$PLACE.part"

pip() {
    "$PLACE.part/bin/python" -m pip --disable-pip-version-check install ${DIR:+--no-index --find-links "$DIR"} "$@"
}

pip --quiet "setuptools<81" wheel ninja packaging
# lists are words
# shellcheck disable=SC2086
if [ -n "${TORCH:-}" ]; then
    pip $TORCH
elif [ -n "$DIR" ]; then
    pip $PINNED
else
    kind=$([ "$GPU" = yes ] && echo "cu$CUDA" | tr -d . || echo cpu)
    pip $PINNED --index-url "https://download.pytorch.org/whl/$kind"
fi
# shellcheck disable=SC2086
if [ "$GPU" = yes ]; then
    pip -r "$HERE/$NAME.txt" $WHEELS
    [ -z "$COMPILED" ] || pip --no-build-isolation $COMPILED
else
    pip -r "$HERE/$NAME.txt"
fi
# shellcheck disable=SC2086
MISSING=$("$PLACE.part/bin/python" - $MODULES <<'CHECK'
import importlib, sys

for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except Exception as error:
        print(f"{name} ({error})", end=" ")
CHECK
) || refuse 1 "its interpreter died while it imported $MODULES" "read what it said above"
[ -z "$MISSING" ] || refuse 1 "these cannot be imported in it: $MISSING" "apt-get install what they want (libxi6 libxkbcommon0 libgl1 for bpy and open3d)"

# scripts and links name the folder they were made in: it is moved by making it anew around the same packages
rm -rf "$PLACE"
mv "$PLACE.part" "$PLACE"
"$PYTHON" -m venv --upgrade "$PLACE"
echo "made $PLACE; now: forge-batch doctor"
