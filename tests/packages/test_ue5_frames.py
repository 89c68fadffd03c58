from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from forge_batch.ops.mesh import Mesh
from forge_batch.ops.tangents import split_by_tangent
from forge_batch.packages.asset import Asset
from forge_batch.packages.ue5 import ue5_files
from tests import winged_box
from tests.ops.test_fbx import corners, signed_volume
from tests.ops.test_glb import Glb
from tests.readers import ask_ufbx


def bare(files: dict[str, bytes]) -> dict[str, bytes]:
    """Leave folders out of names."""
    return {Path(name).name: data for name, data in files.items()}


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """Package the winged box with flat maps; the normal map leans up the picture, towards green."""
    flat = np.full((16, 16, 3), 128, np.uint8)
    normal = np.full((16, 16, 3), (32768, 50000, 60000), np.uint16)
    asset = Asset("winged", winged_box.levels(), [1.0, 0.5, 0.25], winged_box.hulls(), flat, normal, flat)
    return bare(ue5_files(asset))


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


def uv_directions(points: np.ndarray, uv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give each corner the unit directions in which U and V of its triangle grow."""
    edges = np.diff(points.reshape(-1, 3, 3), axis=1)
    steps = np.diff(uv.reshape(-1, 3, 2), axis=1)
    along = np.linalg.solve(steps, edges)
    along /= np.linalg.norm(along, axis=2, keepdims=True)
    return np.repeat(along[:, 0], 3, axis=0), np.repeat(along[:, 1], 3, axis=0)


@pytest.fixture(scope="module")
def faceted() -> dict[str, bytes]:
    """Package a box with hard edges, each side filling a cell of the UV square, every other one mirrored."""
    quads = winged_box.BODY.faces.reshape(-1, 2, 3)
    corner = winged_box.BODY.vertices[[[a, b, c, d] for (a, b, c), (_, _, d) in quads]]
    normals = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    cell = np.array([[0.1, 0.9], [0.9, 0.9], [0.9, 0.1], [0.1, 0.1]])
    mirror = np.where(np.arange(6) % 2, -1, 1)[:, None, None]
    uv = (np.concatenate([(cell[None, :, :1] - 0.5) * mirror + 0.5, np.broadcast_to(cell[:, 1:], (6, 4, 1))], axis=2)) / [6, 1]
    uv[..., 0] += np.arange(6)[:, None] / 6
    faces = np.array([[0, 1, 2], [0, 2, 3]]) + 4 * np.arange(6)[:, None, None]
    box = Mesh(
        corner.reshape(-1, 3),
        faces.reshape(-1, 3).astype(np.int32),
        uv=uv.reshape(-1, 2).astype(np.float32),
        normals=np.repeat(normals, 4, axis=0).astype(np.float32),
    )
    return bare(ue5_files(Asset("faceted", [split_by_tangent(box)], [1.0], [], None, None, None)))


def test_unreals_tangent_basis_follows_u_and_v_down_the_picture(faceted: dict[str, bytes], tmp_path: Path) -> None:
    """Unreal negates Y of tangents and normals, takes minus the binormal and 1 - V: its Y then goes down, as DirectX green.

    It keeps only the sign of the basis and rebuilds `sign * cross(N, T)`, which must point down the picture as well.
    """
    path = tmp_path / "SM_Faceted.fbx"
    path.write_bytes(faceted["SM_Faceted.fbx"])
    (level,) = ask_ufbx(path)["meshes"]
    mirror = np.array([1, -1, 1])
    points, normals, tangents = (np.array(level[key]) * mirror for key in ("positions", "normals", "tangents"))
    down = -np.array(level["bitangents"]) * mirror
    along_u, along_v = uv_directions(points, np.array(level["uv"]) * [1, -1] + [0, 1])
    sign = np.round(np.einsum("nx,nx->n", np.cross(tangents, down), normals))
    assert set(sign) == {-1.0, 1.0}
    np.testing.assert_allclose(tangents, along_u, atol=1e-5)
    np.testing.assert_allclose(down, along_v, atol=1e-5)
    np.testing.assert_allclose(sign[:, None] * np.cross(normals, tangents), along_v, atol=1e-5)


def test_the_glbs_tangent_basis_points_up_the_picture(faceted: dict[str, bytes]) -> None:
    """In the GLB `w * cross(N, T)` goes against growing V (which is down), as OpenGL green does."""
    read = Glb(faceted["SM_Faceted.glb"])
    tangents, normals = read.attribute("TANGENT"), read.attribute("NORMAL")
    along_u, along_v = uv_directions(read.attribute("POSITION"), read.attribute("TEXCOORD_0"))
    assert set(tangents[:, 3]) == {-1.0, 1.0}
    np.testing.assert_allclose(tangents[:, :3], along_u, atol=1e-5)
    np.testing.assert_allclose(tangents[:, 3:] * np.cross(normals, tangents[:, :3]), -along_v, atol=1e-5)


def test_green_is_flipped_for_unreal_and_not_in_the_glb(files: dict[str, bytes]) -> None:
    """A normal that leans up the picture is (128, 195, 233) in the GLB, 16 bits dithered to 8, and green 60 beside the FBX."""
    read = Glb(files["SM_Winged.glb"])
    (image,) = [image for image in read.document["images"] if image["name"] == "T_Winged_N_GL"]
    np.testing.assert_allclose(decoded(read.view(image["bufferView"]))[0, 0], (128, 195, 233), atol=1)
    np.testing.assert_allclose(decoded(files["T_Winged_N.png"])[0, 0], (128, 255 - 195, 233), atol=1)


def test_images_of_the_glb_bear_the_assets_name(files: dict[str, bytes]) -> None:
    """Unreal names texture assets after them: neither another asset's maps nor the DirectX one is overwritten."""
    names = [image["name"] for image in Glb(files["SM_Winged.glb"]).document["images"]]
    assert names == ["T_Winged_BC", "T_Winged_N_GL", "T_Winged_ORM"]


def decoded(png: bytes) -> np.ndarray:
    """Read a PNG with Pillow."""
    return np.asarray(Image.open(io.BytesIO(png)))
