"""Stand in for UniRig's extraction."""

from __future__ import annotations

import argparse
from pathlib import Path

parser = argparse.ArgumentParser()
for name in ("config", "require_suffix", "force_override", "num_runs", "id", "time", "input", "output_dir"):
    parser.add_argument(f"--{name}", required=True)
parser.add_argument("--faces_target_count", type=int, required=True)
args = parser.parse_args()
assert Path(args.input).exists()
folder = Path(args.output_dir) / Path(args.input).stem
folder.mkdir(parents=True, exist_ok=True)
(folder / "raw_data.npz").write_bytes(b"npz")
