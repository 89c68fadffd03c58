"""Draw a textured mesh, so that a person can judge it.

Shading is the metallic-roughness model of glTF 2.0 (appendix B): Lambert plus GGX with Smith visibility and Schlick's Fresnel,
under one key light, a weak fill from its right, and an ambient term whose reflection uses the fit of Karis (2014,
"Physically Based Shading on Mobile"). Faces turned away are not drawn, as in an engine: an inverted face shows as a hole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8
from PIL import Image, ImageDraw, ImageFont

from forge_batch.ops.mesh import Mesh
from forge_batch.ops.srgb import linear_to_srgb, srgb_to_linear
from forge_batch.ops.zbuffer import frame_view, project, see, silhouette

__all__ = ["Maps", "beside", "contact_sheet", "on_paper", "render", "silhouette"]

SUPERSAMPLE = 2
KEY, FILL, AMBIENT = 1.25, 0.22, 0.34  # radiance relative to white paper facing the key light
KEY_ELEVATION, FILL_ELEVATION = 40.0, 10.0  # degrees
PAPER = np.array([84, 87, 92], np.uint8)
INK, FAINT = (236, 236, 236), (176, 178, 182)
PANEL, GAP = 420, 6  # pixels


class Maps(NamedTuple):
    """Be the textures of an atlas, row 0 on top, any of them missing.

    Attributes:
        base_color: (h, w, 3) uint8 sRGB, (h, w, 4) with straight alpha where it cuts holes.
        normal: (h, w, 3) uint16, tangent space, OpenGL (Y+).
        orm: (h, w, 3) uint8 linear: occlusion, roughness, metallic.
    """

    base_color: np.ndarray | None
    normal: np.ndarray | None
    orm: np.ndarray | None


class _Surface(NamedTuple):
    """Be n shading points: unit normals (n, 3), linear base colour (n, 3), occlusion, roughness and metallic (n, 1)."""

    normal: np.ndarray
    color: np.ndarray
    occlusion: np.ndarray
    roughness: np.ndarray
    metallic: np.ndarray


def render(
    mesh: Mesh, maps: Maps, azimuth: float, elevation: float, size: int, light_azimuth: float
) -> UInt8[np.ndarray, "size size 4"]:
    """Draw a mesh from one side, in a frame that fits it whatever the azimuth.

    Args:
        mesh: Without uv it is drawn grey, without normals flat, without tangents without its normal map.
        maps: Textures; maps larger than 4 x `size` are halved first, against shimmer.
        azimuth: Degrees; 0 looks from +Z, 90 from +X.
        elevation: Degrees; 90 looks from above.
        size: Edge of the picture, pixels.
        light_azimuth: Where the key light stands, degrees, in the same sense as `azimuth`.

    Returns:
        sRGB with straight alpha. What has holes cut by alpha is drawn from both sides; through them nothing is seen.
    """
    fine = size * SUPERSAMPLE
    view = frame_view(mesh.bounds, azimuth, elevation)
    masked = maps.base_color is not None and maps.base_color.shape[2] == 4
    hits = see(project(mesh.vertices, view, fine), mesh.faces, fine, cull=not masked)
    maps = _fit_maps(maps, 4 * size)
    seen = hits.face >= 0
    seen[seen] = _there(mesh, maps, hits.face[seen], hits.weights[seen])
    surface = _surface(mesh, maps, hits.face[seen], hits.weights[seen])
    if masked:  # such a material has two sides
        away = surface.normal @ view.axes[2].astype(np.float32) > 0
        surface = surface._replace(normal=np.where(away[:, None], -surface.normal, surface.normal))
    color = np.zeros((fine, fine, 4), np.float32)
    color[seen, :3] = np.minimum(_shade(surface, -view.axes[2].astype(np.float32), light_azimuth), 1.0)
    color[seen, 3] = 1.0
    color = color.reshape(size, SUPERSAMPLE, size, SUPERSAMPLE, 4).mean(axis=(1, 3))
    color[..., :3] /= np.maximum(color[..., 3:], 1e-6)
    return (np.dstack([linear_to_srgb(color[..., :3]), color[..., 3]]) * 255.0 + 0.5).astype(np.uint8)


def _fit_maps(maps: Maps, largest: int) -> Maps:
    """Halve maps until their edge is at most `largest`."""

    def fit(image: np.ndarray | None) -> np.ndarray | None:
        while image is not None and max(image.shape[:2]) > largest:
            image = cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA)
        return image

    return Maps(*(fit(image) for image in maps))


def _surface(mesh: Mesh, maps: Maps, face: np.ndarray, weights: np.ndarray) -> _Surface:
    """Look up what the shader needs at points given by face and barycentric weights."""
    corners = mesh.faces[face]

    def at(values: np.ndarray) -> np.ndarray:
        return np.asarray(np.einsum("nk,nkc->nc", weights, values[corners]), np.float32)

    uv = None if mesh.uv is None else at(mesh.uv)
    if mesh.normals is None:
        a, b, c = (mesh.vertices[corners[:, k]] for k in range(3))
        normal = np.cross(b - a, c - a)
    else:
        normal = at(mesh.normals)
    if uv is not None and maps.normal is not None and mesh.tangents is not None:
        tangent = at(mesh.tangents)
        bitangent = np.sign(tangent[:, 3:]) * np.cross(normal, tangent[:, :3])
        x, y, z = np.split(read_linear(maps.normal, uv) * 2.0 - 1.0, 3, axis=1)
        normal = x * tangent[:, :3] + y * bitangent + z * normal
    normal = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    color = np.full((len(face), 3), 0.45, np.float32)
    if uv is not None and maps.base_color is not None:
        color = srgb_to_linear(read_linear(maps.base_color[..., :3], uv))
    orm = np.tile(np.array([1.0, 0.7, 0.0], np.float32), (len(face), 1))
    if uv is not None and maps.orm is not None:
        orm = read_linear(maps.orm, uv)
    return _Surface(normal.astype(np.float32), color, orm[:, 0:1], np.maximum(orm[:, 1:2], 0.05), orm[:, 2:3])


def _there(mesh: Mesh, maps: Maps, face: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Tell at which points the base colour's alpha leaves the surface."""
    if maps.base_color is None or maps.base_color.shape[2] < 4 or mesh.uv is None:
        return np.ones(len(face), bool)
    uv = np.einsum("nk,nkc->nc", weights, mesh.uv[mesh.faces[face]])
    return np.asarray(read_linear(maps.base_color[..., 3:], uv)[:, 0] >= 0.5)


def read_linear(image: np.ndarray, uv: Float[np.ndarray, "n 2"]) -> Float32[np.ndarray, "n c"]:
    """Read an integer image (h, w, c) bilinearly at texture coordinates (origin top left), clamped, scaled to 0..1."""
    h, w = image.shape[:2]
    x = np.clip(uv[:, 0] * w - 0.5, 0, w - 1)
    y = np.clip(uv[:, 1] * h - 0.5, 0, h - 1)
    x0, y0 = x.astype(np.int32), y.astype(np.int32)
    x1, y1 = np.minimum(x0 + 1, w - 1), np.minimum(y0 + 1, h - 1)
    fx, fy = (x - x0)[:, None], (y - y0)[:, None]
    top = image[y0, x0] * (1 - fx) + image[y0, x1] * fx
    bottom = image[y1, x0] * (1 - fx) + image[y1, x1] * fx
    return np.asarray((top * (1 - fy) + bottom * fy) / np.iinfo(image.dtype).max, np.float32)


def _direction(azimuth: float, elevation: float) -> np.ndarray:
    a, e = np.radians(azimuth), np.radians(elevation)
    return np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)], np.float32)


def _shade(surface: _Surface, towards: np.ndarray, light_azimuth: float) -> Float32[np.ndarray, "n 3"]:
    """Give linear radiance at shading points seen from the unit direction `towards`."""
    normal, color, occlusion, roughness, metallic = surface
    nv = np.clip(normal @ towards, 1e-3, 1.0)[:, None]
    diffuse = color * (1.0 - metallic)
    f0 = 0.04 * (1.0 - metallic) + color * metallic
    sky = 0.75 + 0.25 * normal[:, 1:2]
    total = AMBIENT * occlusion * sky * (diffuse + _ambient_reflection(f0, roughness, nv))
    lights = ((light_azimuth, KEY_ELEVATION, KEY), (light_azimuth + 100.0, FILL_ELEVATION, FILL))
    alpha2 = roughness**4
    for azimuth, elevation, radiance in lights:
        light = _direction(azimuth, elevation)
        middle = light + towards
        middle = middle / max(float(np.linalg.norm(middle)), 1e-6)
        nl = np.clip(normal @ light, 0.0, 1.0)[:, None]
        nh = np.clip(normal @ middle, 0.0, 1.0)[:, None]
        distribution = alpha2 / np.maximum((nh * nh * (alpha2 - 1.0) + 1.0) ** 2, 1e-7)
        shadowing = nl * np.sqrt(nv * nv * (1 - alpha2) + alpha2) + nv * np.sqrt(nl * nl * (1 - alpha2) + alpha2)
        fresnel = f0 + (1.0 - f0) * (1.0 - float(np.clip(towards @ middle, 0.0, 1.0))) ** 5
        total = total + radiance * nl * (diffuse + fresnel * distribution * 0.5 / np.maximum(shadowing, 1e-6))
    return np.asarray(total, np.float32)


def _ambient_reflection(f0: np.ndarray, roughness: np.ndarray, nv: np.ndarray) -> np.ndarray:
    """Reflect an even surrounding: Karis' fit of the split-sum integral."""
    r = [roughness * a + b for a, b in ((-1.0, 1.0), (-0.0275, 0.0425), (-0.572, 1.04), (0.022, -0.04))]
    a004 = np.minimum(r[0] * r[0], np.exp2(-9.28 * nv)) * r[0] + r[1]
    return np.asarray(f0 * (-1.04 * a004 + r[2]) + 1.04 * a004 + r[3])


def contact_sheet(
    mesh: Mesh, maps: Maps, front_image: UInt8[np.ndarray, "h w 4"], title: str, lines: Sequence[str]
) -> UInt8[np.ndarray, "H W 3"]:
    """Lay out the input beside the result: front lit from either side, three-quarter, back, and the maps.

    Args:
        mesh: LOD0.
        maps: Its textures.
        front_image: The input's front view, sRGB straight alpha.
        title: One line on top.
        lines: Facts below, one line each.
    """
    lit_left = render(mesh, maps, 0.0, 0.0, PANEL, -55.0)
    panels = [
        ("input, front", beside(front_image, lit_left[..., 3])),
        ("front, lit from the left", on_paper(lit_left)),
        ("front, lit from the right", on_paper(render(mesh, maps, 0.0, 0.0, PANEL, 55.0))),
        ("three-quarter", on_paper(render(mesh, maps, 35.0, 20.0, PANEL, -20.0))),
        ("back", on_paper(render(mesh, maps, 180.0, 0.0, PANEL, 125.0))),
        ("maps: base color, normal; occlusion, roughness + metallic", _map_panel(maps)),
    ]
    line_height, head = 22, 42
    sheet = np.empty((head + 2 * (PANEL + GAP) + line_height * len(lines) + 10, 3 * PANEL + 4 * GAP, 3), np.uint8)
    sheet[:] = PAPER // 2
    corners = []
    for index, (label, panel) in enumerate(panels):
        x, y = GAP + (index % 3) * (PANEL + GAP), head + (index // 3) * (PANEL + GAP)
        sheet[y : y + PANEL, x : x + PANEL] = panel
        corners.append((x + 8, y + 6, label))
    picture = Image.fromarray(sheet)
    pen = ImageDraw.Draw(picture)
    pen.text((GAP + 4, 8), title, fill=INK, font=ImageFont.load_default(22))
    for x, y, label in corners:
        pen.text((x, y), label, fill=INK, font=ImageFont.load_default(14), stroke_width=2, stroke_fill=(20, 20, 22))
    for index, line in enumerate(lines):
        place = (GAP + 4, head + 2 * (PANEL + GAP) + 2 + index * line_height)
        pen.text(place, line, fill=FAINT, font=ImageFont.load_default(15))
    return np.asarray(picture)


def on_paper(image: np.ndarray) -> np.ndarray:
    """Lay an RGBA picture over the sheet's grey."""
    alpha = image[..., 3:].astype(np.float32) / 255.0
    return np.asarray(image[..., :3] * alpha + PAPER * (1.0 - alpha) + 0.5, np.uint8)


def beside(image: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Scale a cut-out to the height at which the render (its alpha `like`) shows the object, and centre it likewise.

    The answer is as large as the render.
    """
    rows, columns = like.shape
    x, y, w, h = cv2.boundingRect((image[..., 3] > 127).astype(np.uint8))
    left, top, width, height = cv2.boundingRect((like > 127).astype(np.uint8))
    if min(w, h, width, height) == 0:
        return np.broadcast_to(PAPER, (rows, columns, 3))
    scale = min(height / h, columns / w)
    # reading through a matrix keeps sub-pixel placement; area scaling first avoids shimmer when shrinking
    filtering = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    shrunk = cv2.resize(on_paper(image), None, fx=scale, fy=scale, interpolation=filtering)
    dx, dy = left + width / 2 - (x + w / 2) * scale, top + height / 2 - (y + h / 2) * scale
    matrix = np.array([[1.0, 0.0, dx], [0.0, 1.0, dy]])
    border = tuple(int(value) for value in PAPER)
    return np.asarray(cv2.warpAffine(shrunk, matrix, (columns, rows), borderMode=cv2.BORDER_CONSTANT, borderValue=border))


def _map_panel(maps: Maps) -> np.ndarray:
    """Show the maps small, two by two; a missing one stays grey."""
    panel = np.empty((PANEL, PANEL, 3), np.uint8)
    panel[:] = PAPER
    half = PANEL // 2 - 2
    color = maps.base_color
    shown: list[np.ndarray | None] = [color if color is None or color.shape[2] == 3 else on_paper(color), None, None, None]
    if maps.normal is not None:
        shown[1] = (maps.normal >> 8).astype(np.uint8)
    if maps.orm is not None:
        occlusion, roughness, metallic = cv2.split(maps.orm)
        shown[2] = cv2.merge([occlusion] * 3)
        shown[3] = cv2.merge([metallic, roughness, np.zeros_like(metallic)])
    for index, image in enumerate(shown):
        if image is not None:
            x, y = (index % 2) * (half + 4), (index // 2) * (half + 4)
            panel[y : y + half, x : x + half] = cv2.resize(image, (half, half), interpolation=cv2.INTER_AREA)
    return panel
