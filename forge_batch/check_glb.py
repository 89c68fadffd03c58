"""Hold a GLB to the maps it should have: images inside are opened by Pillow, what the material wires is read from its JSON."""

from __future__ import annotations

import io
import json
import struct
from typing import Any

from PIL import Image

from forge_batch.errors import StageError
from forge_batch.gates import Gate
from forge_batch.ops.mesh_file import SOLID

LARGEST_EDGE = 8192  # pixels


def image_fault(data: bytes) -> str | None:
    """Say what is wrong with an image that an engine is to take as a texture; None if nothing is."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            if any(edge & (edge - 1) or edge > LARGEST_EDGE for edge in image.size):
                return f"is {image.width} x {image.height}"
    except (OSError, ValueError, SyntaxError) as error:
        return f"cannot be read ({type(error).__name__})"
    return None


def glb_maps(data: bytes, name: str, texture_size: int) -> Gate:
    """Look at the materials of a GLB: textures that cannot be used, or are not all wired where there should be some.

    What is told of is the material that wires least.

    Raises:
        StageError: It is no GLB.
    """
    try:
        document, blob = _parsed(data)
        shown = [one for one in document["meshes"] if not SOLID.search(one.get("name", ""))]
        seen = {part.get("material", 0) for one in shown for part in one["primitives"]}
        there = min((_wired(document["materials"][index]) for index in sorted(seen or {0})), key=len)
        images = {one["name"]: _view(document, blob, one["bufferView"]) for one in document.get("images", [])}
    except (KeyError, IndexError, ValueError, struct.error) as error:
        raise StageError(f"{name} is not a readable GLB ({type(error).__name__})", "export it again") from error
    wrong = [f"{image} {fault}" for image, content in images.items() if (fault := image_fault(content))]
    note = f"{name} wires {', '.join(there) or 'no map'}" + "".join(f"; {one}" for one in wrong)
    if texture_size and not there:
        wrong.append("nothing is wired")
    return Gate("glb_maps", len(wrong), 0, "maps", "fail" if wrong else "pass", note)


def _wired(material: dict[str, Any]) -> list[str]:
    """Name the maps that a material wires."""
    surface = material.get("pbrMetallicRoughness", {})
    wired = {
        "base colour": surface.get("baseColorTexture"),
        "normal": material.get("normalTexture"),
        "roughness": surface.get("metallicRoughnessTexture"),
        "occlusion": material.get("occlusionTexture"),
    }
    return [kind for kind, texture in wired.items() if texture is not None]


def _parsed(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Take a GLB apart into its JSON and its buffer."""
    (size,) = struct.unpack_from("<I", data, 12)
    document: dict[str, Any] = json.loads(data[20 : 20 + size])
    return document, data[28 + size :]


def _view(document: dict[str, Any], blob: bytes, index: int) -> bytes:
    view = document["bufferViews"][index]
    start = view.get("byteOffset", 0)
    return blob[start : start + view["byteLength"]]
