from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from forge_batch.packages.ue5 import Asset, package_files
from tests import winged_box
from tests.ops.test_fbx import corners, signed_volume
from tests.ops.test_glb import Glb
from tests.readers import ask_ufbx


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """Package the winged box with flat maps; the normal map leans up the picture, towards green."""
    flat = np.full((16, 16, 3), 128, np.uint8)
    normal = np.full((16, 16, 3), (32768, 50000, 60000), np.uint16)
    asset = Asset("winged", winged_box.levels(), [1.0, 0.5, 0.25], winged_box.hulls(), flat, normal, flat)
    return package_files(asset)


def in_unreal(files: dict[str, bytes], folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Give LOD0's corners in centimetres as Unreal places them: of the FBX with Y negated, of the glTF as (X, Z, Y) x 100."""
    path = folder / "SM_Winged.fbx"
    path.write_bytes(files["SM_Winged.fbx"])
    read = ask_ufbx(path)
    assert read["unit_metres"] == 0.01
    (level,) = [mesh for mesh in read["meshes"] if mesh["name"] == "SM_Winged"]
    of_fbx = np.array(level["positions"]) * [1, -1, 1]
    of_glb = Glb(files["SM_Winged.glb"]).attribute("POSITION")[:, [0, 2, 1]] * 100
    return of_fbx, of_glb


def test_fbx_and_glb_land_on_the_same_unreal_coordinates(files: dict[str, bytes], tmp_path: Path) -> None:
    """Corner by corner both files put LOD0 at (z, -x, y) of the house in cm, within a micrometre."""
    of_fbx, of_glb = in_unreal(files, tmp_path)
    np.testing.assert_allclose(of_fbx, of_glb, atol=1e-4)
    house = winged_box.levels()[0]
    np.testing.assert_allclose(of_fbx, corners(house, house.vertices)[:, [2, 0, 1]] * [100, -100, 100], atol=1e-4)


def test_the_nose_points_along_unreals_front(files: dict[str, bytes], tmp_path: Path) -> None:
    """In Unreal the nose reaches X = 80, the fin Z = 80 and the wing, on the asset's own left, Y = -85."""
    for points in in_unreal(files, tmp_path):
        np.testing.assert_allclose(points.max(axis=0), [80, 25, 80], atol=1e-4)
        np.testing.assert_allclose(points.min(axis=0), [-45, -85, 0], atol=1e-4)


def test_mirroring_into_the_left_handed_frame_turns_both_alike(files: dict[str, bytes], tmp_path: Path) -> None:
    """Both files are mirrored once on the way (Unreal turns windings with it): the signed volumes agree and are negative."""
    of_fbx, of_glb = (signed_volume(points) for points in in_unreal(files, tmp_path))
    assert of_fbx == pytest.approx(of_glb, rel=1e-5)
    assert of_fbx == pytest.approx(-1e6 * winged_box.VOLUMES[0], rel=1e-4)
