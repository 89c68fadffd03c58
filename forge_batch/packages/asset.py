"""Hold a finished asset, and do to it what every engine's package needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from forge_batch.ops.dither import dithered_normals
from forge_batch.ops.glb import BASE_COLOR, NORMAL, ORM, Look
from forge_batch.ops.image_file import encode_png
from forge_batch.ops.mesh import Mesh
from forge_batch.ops.rig import Rig
from forge_batch.ops.screen_sizes import sphere_diameter
from forge_batch.ops.sheet import cut_out, taken_apart
from forge_batch.packages.names import Names, pascal

CENTIMETRES = 100.0


class Surface(NamedTuple):
    """Be one atlas of an asset: its names, and its maps as an Asset has them."""

    names: Names
    base_color: np.ndarray | None
    normal: np.ndarray | None
    orm: np.ndarray | None
    normal_bits: int

    @property
    def shown_normal(self) -> np.ndarray:
        """The OpenGL normal map with as many bits as files shall have; only where there is one."""
        assert self.normal is not None
        return self.normal if self.normal_bits == 16 else dithered_normals(self.normal)


@dataclass(frozen=True, eq=False)
class Asset:
    """Be a finished asset, in house space.

    Attributes:
        lods: With uv, normals and tangents, the finest first; of several atlases uv are those of the sheet, and so are maps.
        screen_sizes: Of each level, 1.0 fills the screen; as many as lods.
        base_color: (h, w, 3) uint8 sRGB, (h, w, 4) with straight alpha if the surface has holes that it cuts out, or None.
        normal: (h, w, 3) uint16 tangent space, OpenGL, or None.
        orm: (h, w, 3) uint8, or None.
        naming: Style of the names; see packages.names.
        sockets: Places by name, in house space.
        nanite: Whether Unreal builds the mesh for Nanite.
        lightmap_resolution: Texels of the edge that the second uv set was laid out for, or None.
        rig: The skeleton of a character, or None.
        rig_facts: What made the rig, and how sure it is of each joint; see ops.rig.save_rig.
        rigged: The mesh whose vertices the rig's weights belong to.
        bone_names: `mannequin` or `keep`.
        influences: Most joints that move one vertex.
        normal_bits: Of a channel of normal maps that are files of their own: 8 or 16. Inside a GLB they have 8.
        two_sided: Whether it is a sheet that shows both its sides.
        atlases: How many sets of textures it has; see ops.sheet.
    """

    name: str
    lods: Sequence[Mesh]
    screen_sizes: Sequence[float]
    hulls: Sequence[Mesh]
    base_color: np.ndarray | None
    normal: np.ndarray | None
    orm: np.ndarray | None
    naming: str = "epic"
    sockets: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    normal_bits: int = 8
    rig: Rig | None = None
    rig_facts: Mapping[str, Any] = field(default_factory=dict)
    rigged: Mesh | None = None
    bone_names: str = "mannequin"
    influences: int = 8
    nanite: bool = False
    lightmap_resolution: int | None = None
    atlases: int = 1
    two_sided: bool = False

    @property
    def names(self) -> Names:
        return Names(self.name, self.naming)

    @property
    def masked(self) -> bool:
        """Whether the base colour's alpha cuts holes: then the material is masked at one half, and has two sides."""
        return self.base_color is not None and self.base_color.shape[2] == 4

    @property
    def model(self) -> str:
        """Name of the one model that engines other than Unreal get: skinned where there is a rig."""
        return self.names.skeletal_mesh if self.rig else self.names.mesh

    @property
    def folder(self) -> str:
        """Where what an engine imports lies in a package; papers lie beside it."""
        return pascal(self.name)

    @property
    def levels(self) -> list[Mesh]:
        """The lods as engines want them: uv from 0 to 1, and of several atlases the one that each face lies on."""
        return [taken_apart(mesh, self.atlases) for mesh in self.lods]

    @property
    def atlas_names(self) -> list[Names]:
        """Names of each atlas: numbered where there are several."""
        numbers = range(1, self.atlases + 1) if self.atlases > 1 else (0,)
        return [Names(self.name, self.naming, number=number) for number in numbers]

    @property
    def surfaces(self) -> Iterator[Surface]:
        """What each atlas is called and shows; made one by one, since a map may have hundreds of megabytes."""
        for index, names in enumerate(self.atlas_names):
            color, normal, orm = (
                None if image is None else cut_out(image, index, self.atlases)
                for image in (self.base_color, self.normal, self.orm)
            )
            yield Surface(names, color, normal, orm, self.normal_bits)


def turned(mesh: Mesh, axes: np.ndarray, scale: float) -> Mesh:
    """Carry a mesh into another right-handed frame: `axes` is a rotation, positions are scaled too."""
    normals = None if mesh.normals is None else mesh.normals @ axes.T
    tangents = None if mesh.tangents is None else np.hstack([mesh.tangents[:, :3] @ axes.T, mesh.tangents[:, 3:]])
    vertices = (mesh.vertices.astype(np.float64) @ axes.T.astype(np.float64) * scale).astype(np.float32)
    return replace(mesh, vertices=vertices, normals=normals, tangents=tangents)


def carried(places: Mapping[str, Sequence[float]], axes: np.ndarray, scale: float) -> dict[str, tuple[float, float, float]]:
    """Carry places into another frame, as `turned` does with meshes."""
    moved = {name: (axes.astype(np.float64) @ np.asarray(place, np.float64) * scale).tolist() for name, place in places.items()}
    return {name: (x + 0.0, y + 0.0, z + 0.0) for name, (x, y, z) in moved.items()}  # -0 becomes 0


def in_folder(folder: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Put files into a folder."""
    return {f"{folder}/{name}": data for name, data in files.items()}


def glb_textures(surface: Surface) -> dict[str, bytes]:
    """Give the PNGs that a GLB holds, by kind: OpenGL normals of 8 bits."""
    normal = None if surface.normal is None else dithered_normals(surface.normal)
    maps = {BASE_COLOR: surface.base_color, NORMAL: normal, ORM: surface.orm}
    return {kind: encode_png(image) for kind, image in maps.items() if image is not None}


def glb_look(asset: Asset, names: Names, textures: Mapping[str, bytes]) -> Look:
    """Give the material of an asset's atlas for a GLB, its images called as their files would be."""
    images = {kind: names.texture(kind) for kind in textures}
    return Look(names.material, textures, images, asset.masked, asset.two_sided)


def switch_distances(asset: Asset) -> list[float]:
    """Give the camera distances in metres at which LOD1, LOD2, ... take over.

    Unreal's screen size of a sphere of radius r at distance d, at 90 degrees of horizontal view in 16:9, is 16/9 r / d
    (ComputeBoundsScreenSize).
    """
    radius = sphere_diameter(asset.lods[0]) / 2
    return [16 / 9 * radius / size for size in asset.screen_sizes[1 : len(asset.lods)]]


def directx(normal: np.ndarray) -> np.ndarray:
    """Turn an 8-bit or 16-bit OpenGL normal map into a DirectX one: green points down the picture."""
    flipped = normal.copy()
    flipped[..., 1] = np.iinfo(normal.dtype).max - flipped[..., 1]
    return flipped
