#!/bin/sh
# Make the environment that a rigger runs in: vendor/NAME/env. Riggers are programs of their own and are never imported by ours.
#
#   sh vendor/make_environment.sh skintokens
#   PYTHON=python3.11 sh vendor/make_environment.sh unirig
#
# Needed: Python 3.11 (Blender's bpy has wheels for 3.11 and 3.13 alone), a CUDA toolkit for what must be compiled (flash_attn,
# torch_scatter, torch_cluster), about 12 GB of disk. An environment that exists already may be linked there instead.
set -eu

NAME=${1:?write skintokens or unirig}
PYTHON=${PYTHON:-python3.11}
HERE=$(cd "$(dirname "$0")" && pwd)
PLACE=$HERE/$NAME/env

case $NAME in
skintokens)
    CUDA=cu130
    TORCH="torch==2.11.0 torchvision==0.26.0"
    REST="numpy<2 transformers>=4.57,<5 diffusers>=0.35 lightning einops omegaconf open3d bpy==4.2.0 trimesh requests tqdm pyyaml"
    COMPILED="flash-attn"
    ;;
unirig)
    # spconv has no wheels for CUDA 13; 12.6 is its last
    CUDA=cu126
    TORCH="torch==2.7.1 torchvision==0.22.1"
    REST="transformers==4.51.3 numpy==1.26.4 lightning timm python-box addict einops omegaconf open3d pyrender trimesh
          fast-simplification bpy==4.2.0 spconv-cu126 psutil pyyaml"
    COMPILED="flash-attn torch_scatter torch_cluster"
    ;;
*)
    echo "there is no rigger $NAME: write skintokens or unirig" >&2
    exit 2
    ;;
esac

mkdir -p "$HERE/$NAME"
rm -rf "$PLACE.part"
"$PYTHON" -m venv "$PLACE.part"
"$PLACE.part/bin/python" -m pip install --quiet --upgrade pip setuptools wheel ninja packaging
# shellcheck disable=SC2086 - lists of words
"$PLACE.part/bin/python" -m pip install $TORCH --index-url "https://download.pytorch.org/whl/$CUDA"
# shellcheck disable=SC2086
"$PLACE.part/bin/python" -m pip install $REST
# shellcheck disable=SC2086
"$PLACE.part/bin/python" -m pip install --no-build-isolation $COMPILED
rm -rf "$PLACE"
mv "$PLACE.part" "$PLACE"
echo "made $PLACE; now: forge-batch doctor"
