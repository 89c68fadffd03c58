"""Ask Embree for sixteen rays at a time from inside compiled loops, through its C interface.

embreex, a package that brings the library, asks it ray by ray, from arrays and into arrays. For the 146 million rays of an
occlusion map packets take 64 % of that time, and rays that are made where they are sent need no memory (docs/baking.md).
"""

from __future__ import annotations

import ctypes
import weakref
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import embreex
import numpy as np
from jaxtyping import Float32, Int, Int32
from numba import types
from numba.experimental import function_type  # noqa: F401 - teaches numba to pass on a Function

from forge_batch.errors import BackendUnavailable

LANES = 16
"""Rays of a packet. Embree divides it further on processors whose registers hold less."""

START, ALONG, FAR, MASK, U, V, FACE, GEOMETRY, ACTIVE = 0, 4, 8, 9, 15, 16, 17, 18, 24
"""Rows of a packet: start and direction (three each), the end of the ray, -1 for seeing all, the hit's weights, its face and
geometry (-1 before the question), and which lanes count (-1, else 0). Row 3, where a ray begins, stays 0.

After a question to `occluded` the end is below 0 for a ray that met something; after one to `intersect` it is where it ended.
"""

_ROWS = 25
_TRIANGLE, _INDEX, _VERTEX, _UINT3, _FLOAT3, _ROBUST = 0, 0, 1, 0x5003, 0x9003, 1 << 2  # as embree4/rtcore_*.h numbers them


class Function(types.WrapperAddressProtocol):  # type: ignore[misc]
    """Be a function of Embree's that compiled loops may be given: (lanes that count, scene, packet, 0), all addresses."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __wrapper_address__(self) -> int:
        return int(ctypes.cast(getattr(_library(), self._name), ctypes.c_void_p).value or 0)

    def signature(self) -> Any:
        return types.void(types.uintp, types.uintp, types.uintp, types.uintp)


intersect, occluded = Function("rtcIntersect16"), Function("rtcOccluded16")


class Packet(NamedTuple):
    """Be the rays of one thread: rows of numbers (see START), the same memory as integers, and where it lies."""

    real: Float32[np.ndarray, "rows lanes"]
    whole: Int32[np.ndarray, "rows lanes"]
    address: int


def packet() -> Packet:
    """Make room for sixteen rays, at an address divisible by 64 as Embree demands."""
    room = np.zeros(_ROWS * LANES * 4 + 64, np.uint8)
    start = -room.ctypes.data % 64
    whole = room[start : start + _ROWS * LANES * 4].view(np.int32).reshape(_ROWS, LANES)
    return Packet(whole.view(np.float32), whole, whole.ctypes.data)


class Scene:
    """Be triangles made ready for rays; building takes about 1 microsecond a face.

    Attributes:
        address: What a compiled loop hands to `intersect` and `occluded`.

    Args:
        vertices: Metres.
        faces: Kept as they are and not copied where they are int32.
        watertight: Whether no ray may slip through where two faces meet. Of 2.3 million texels that looked for a source
            none changed, of as many that sent 16 rays to the sky 18, and rays take a fifth less time.

    Raises:
        MemoryError: There is not enough.
        BackendUnavailable: embreex holds no Embree.
    """

    def __init__(self, vertices: Float32[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], watertight: bool = True) -> None:
        library = _library()
        self._device = library.rtcNewDevice(None)
        self.address: int = library.rtcNewScene(self._device)
        self._release = weakref.finalize(self, _release, library, self.address, self._device)
        library.rtcSetSceneFlags(self.address, _ROBUST if watertight else 0)
        if len(faces):
            self._add(library, vertices, faces)
        library.rtcCommitScene(self.address)
        error = library.rtcGetDeviceError(self._device)
        if error:
            raise MemoryError(f"Embree could not build a tree of {len(faces)} faces (its error {error})")

    def _add(self, library: Any, vertices: np.ndarray, faces: np.ndarray) -> None:
        """Lend the faces, and copy the vertices, as Embree reads four numbers of each and so goes on behind the last."""
        self._faces = np.ascontiguousarray(faces, np.int32)
        geometry = library.rtcNewGeometry(self._device, _TRIANGLE)
        library.rtcSetSharedGeometryBuffer(geometry, _INDEX, 0, _UINT3, self._faces.ctypes.data, 0, 12, len(faces))
        room = library.rtcSetNewGeometryBuffer(geometry, _VERTEX, 0, _FLOAT3, 12, len(vertices))
        if room:
            ctypes.memmove(room, np.ascontiguousarray(vertices, np.float32).ctypes.data, 12 * len(vertices))
        library.rtcCommitGeometry(geometry)
        library.rtcAttachGeometry(self.address, geometry)
        library.rtcReleaseGeometry(geometry)


def _release(library: Any, scene: int, device: int) -> None:
    library.rtcReleaseScene(scene)
    library.rtcReleaseDevice(device)


def library_of(package: Path) -> Path:
    """Find the library that lies beside or in the package embreex, where wheels for Linux, macOS and Windows put it.

    Raises:
        BackendUnavailable: There is none.
    """
    folders = (package.parent / "embreex.libs", package / ".dylibs", package)
    found = [path for folder in folders for path in sorted(folder.glob("*embree4*"))]
    if not found:
        raise BackendUnavailable(
            f"embreex in {package} brings no library of Embree 4", "pip install --force-reinstall --only-binary :all: embreex"
        )
    return found[0]


@cache
def _library() -> Any:
    """Load the library, and say what its functions take."""
    library = ctypes.CDLL(str(library_of(Path(embreex.__file__).parent)))
    address, number, size = ctypes.c_void_p, ctypes.c_uint, ctypes.c_size_t
    for name, result, *arguments in (
        ("rtcNewDevice", address, ctypes.c_char_p),
        ("rtcNewScene", address, address),
        ("rtcSetSceneFlags", None, address, number),
        ("rtcNewGeometry", address, address, number),
        ("rtcSetNewGeometryBuffer", address, address, number, number, number, size, size),
        ("rtcSetSharedGeometryBuffer", None, address, number, number, number, address, size, size, size),
        ("rtcCommitGeometry", None, address),
        ("rtcAttachGeometry", number, address, address),
        ("rtcReleaseGeometry", None, address),
        ("rtcCommitScene", None, address),
        ("rtcGetDeviceError", number, address),
        ("rtcReleaseScene", None, address),
        ("rtcReleaseDevice", None, address),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
