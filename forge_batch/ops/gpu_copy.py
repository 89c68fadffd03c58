"""Carry arrays between main memory and the device, by way of pinned memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from threading import Lock
from typing import Any

import numpy as np

STAGE = 32 << 20
"""Bytes that pass at once. A map of 2048 crosses the bus at 25 GB/s from here, and at 2 from ordinary memory."""

KEPT = 1 << 30
"""Bytes that stay with this process between bakes: a bake at 2048 takes half of it. Given back and asked for anew at each wait,
which is Warp's own way, they cost a bake a third of its time."""

_lock = Lock()


def keep_memory(device: str) -> None:
    """Let the process keep some memory of a device that nothing uses just now."""
    import warp  # noqa: PLC0415

    if device != "cpu" and warp.is_mempool_enabled(device):
        warp.set_mempool_release_threshold(device, max(KEPT, warp.get_mempool_release_threshold(device)))


def upload(values: np.ndarray, dtype: Any, device: str) -> Any:
    """Give an array of the device with those values; `dtype` is Warp's, a vector takes the last axis."""
    import warp  # noqa: PLC0415

    values = np.ascontiguousarray(values)
    if not values.nbytes:
        return warp.array(values, dtype=dtype, device=device)
    vector = warp.types.type_is_vector(dtype)
    result = warp.empty(values.shape[:-1] if vector else values.shape, dtype=dtype, device=device)
    kind = warp.dtype_to_numpy(dtype._wp_scalar_type_ if vector else dtype)
    source = values.astype(kind, copy=False).reshape(-1).view(np.uint8)

    def fill(part: slice, pinned: Any) -> None:
        pinned.numpy()[: part.stop - part.start] = source[part]
        warp.copy(_bytes(result, device), pinned, part.start, 0, part.stop - part.start)

    _pass(fill, source.nbytes, device)
    return result


def download(array: Any) -> np.ndarray:
    """Give a device array's values."""
    import warp  # noqa: PLC0415

    device = str(array.device)
    if not array.size:
        return np.asarray(array.numpy())
    vector = warp.types.type_is_vector(array.dtype)
    kind, inner = (array.dtype._wp_scalar_type_, array.dtype._shape_) if vector else (array.dtype, ())
    result = np.empty((*array.shape, *inner), warp.dtype_to_numpy(kind))
    target = result.reshape(-1).view(np.uint8)

    def drain(part: slice, pinned: Any) -> None:
        warp.copy(pinned, _bytes(array, device), 0, part.start, part.stop - part.start)
        _wait(device)
        target[part] = pinned.numpy()[: part.stop - part.start]

    _pass(drain, target.nbytes, device)
    return result


def _pass(work: Callable[[slice, Any], None], size: int, device: str) -> None:
    """Send so many bytes through the stage, piece by piece."""
    with _lock:
        for start in range(0, size, STAGE):
            work(slice(start, min(start + STAGE, size)), _stage(device != "cpu"))
            _wait(device)  # the stage is free again


def _wait(device: str) -> None:
    """Wait until what was sent has arrived; the CPU, on which tests run the kernels, copies at once."""
    import warp  # noqa: PLC0415

    if device != "cpu":
        warp.synchronize_stream(device)


@cache
def _stage(pinned: bool) -> Any:
    """Give the memory, which takes some 10 ms to get if it is pinned, and is kept."""
    import warp  # noqa: PLC0415

    return warp.empty(STAGE, dtype=warp.uint8, device="cpu", pinned=pinned)


def _bytes(array: Any, device: str) -> Any:
    """Look at a device array as bytes."""
    import warp  # noqa: PLC0415

    size = array.size * warp.types.type_size_in_bytes(array.dtype)
    return warp.array(ptr=array.ptr, dtype=warp.uint8, shape=(size,), device=device, copy=False)
