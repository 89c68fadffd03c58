"""Write the container of a binary FBX 7.4 file: a tree of records.

The layout is not published by Autodesk; it is described in "FBX binary file format specification" (Blender developers' blog,
2013). Arrays are stored raw, not deflated: the package's zip deflates them anyway, and the file's bytes then do not depend on
which zlib the interpreter was built with.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

VERSION = 7400
CREATION_TIME = "1970-01-01 10:00:00:000"
FILE_ID = bytes.fromhex("28b32aebb624ccc2bfc8b02aa92bfcf1")
"""Id and footer belong to that creation time: readers that check them (Autodesk's SDK) check the three together."""

_MAGIC = b"Kaydara FBX Binary  \x00\x1a\x00"
_FOOTER_ID = bytes.fromhex("fabcab09d0c8d466b176fb831cf7267e")
_FOOTER_MAGIC = bytes.fromhex("f85a8c6adef5d97eece90ce3758f290b")
_HEAD = struct.Struct("<IIIB")
_END = bytes(_HEAD.size)
_ARRAY_CODES = {"float64": b"d", "int32": b"i", "int64": b"l"}

Value = bool | int | float | str | bytes | np.int64 | np.ndarray


@dataclass(frozen=True, eq=False)
class Record:
    """Be one record: a name, values and child records.

    A value's type in the file follows from its type here: bool C, int I (32 bits), np.int64 L, float D, str S, bytes R, and
    arrays of float64, int32 and int64 d, i and l.
    """

    name: str
    values: tuple[Value, ...] = ()
    children: tuple[Record, ...] = ()


def record(name: str, *values: Value, children: tuple[Record, ...] | list[Record] = ()) -> Record:
    """Make a record; values first, children by name."""
    return Record(name, values, tuple(children))


def properties(*rows: tuple[Value, ...]) -> Record:
    """Make the `Properties70` record, one `P` per row: name, type, label, flags, values."""
    return record("Properties70", children=[record("P", *row) for row in rows])


def object_name(name: str, kind: str) -> str:
    """Join an object's name and class the way binary files keep them."""
    return f"{name}\x00\x01{kind}"


def encode(records: list[Record]) -> bytes:
    """Give the bytes of a file with these records at its top level; same records, same bytes."""
    out = bytearray(_MAGIC + struct.pack("<I", VERSION))
    for top in records:
        out += _encode_record(top, len(out))
    out += _END + _FOOTER_ID + bytes(4)
    out += bytes(16 - len(out) % 16)
    out += struct.pack("<I", VERSION) + bytes(120) + _FOOTER_MAGIC
    return bytes(out)


def _encode_record(item: Record, start: int) -> bytes:
    """Encode a record that begins `start` bytes into the file; offsets in the file are absolute."""
    name = item.name.encode("ascii")
    values = b"".join(_encode_value(value) for value in item.values)
    body = bytearray()
    inside = start + _HEAD.size + len(name) + len(values)
    for child in item.children:
        body += _encode_record(child, inside + len(body))
    if item.children or not item.values:
        body += _END  # an empty list is closed too
    head = _HEAD.pack(inside + len(body), len(item.values), len(values), len(name))
    return head + name + values + bytes(body)


def _encode_value(value: Value) -> bytes:
    if isinstance(value, np.ndarray):
        code = _ARRAY_CODES[value.dtype.name]
        data = np.ascontiguousarray(value, value.dtype.newbyteorder("<")).tobytes()
        return code + struct.pack("<III", value.size, 0, len(data)) + data
    if isinstance(value, np.int64):
        return b"L" + struct.pack("<q", int(value))
    if isinstance(value, bool):
        return b"C" + struct.pack("<?", value)
    if isinstance(value, int):
        return b"I" + struct.pack("<i", value)
    if isinstance(value, float):
        return b"D" + struct.pack("<d", value)
    data, code = (value.encode(), b"S") if isinstance(value, str) else (value, b"R")
    return code + struct.pack("<I", len(data)) + data
