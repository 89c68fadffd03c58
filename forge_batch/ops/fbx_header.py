"""Describe an FBX file as a whole: who wrote it, its frame and unit, and how many objects of which class it holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from forge_batch.ops.fbx_file import CREATION_TIME, FILE_ID, VERSION, Record, Value, properties, record

FIRST_ID = 1_000_000
CREATOR = "forge_batch"  # without a version: the same mesh gives the same bytes; report.json says the version
_STAMP = ("Version", "Year", "Month", "Day", "Hour", "Minute", "Second", "Millisecond")


class Frame(NamedTuple):
    """Be the axes and the unit that a file declares.

    Attributes:
        up: Index and sign of the axis that points up.
        front: Index and sign of the axis that FBX calls front.
        scale: Centimetres of a unit.
    """

    up: tuple[int, int]
    front: tuple[int, int]
    scale: float


UNREAL = Frame((2, 1), (1, -1), 1.0)
METRES_Y_UP = Frame((1, 1), (2, 1), 100.0)


def preamble(frame: Frame) -> list[Record]:
    """Describe the file: who wrote it, in which frame, and its one document."""
    axes: list[tuple[Value, ...]] = [
        (f"{prefix}{axis}{what}", "int", "Integer", "", value)
        for prefix in ("", "Original")
        for axis, index, sign in (("UpAxis", *frame.up), ("FrontAxis", *frame.front), ("CoordAxis", 0, 1))
        if not (prefix and axis != "UpAxis")
        for what, value in (("", index), ("Sign", sign))
    ]
    settings = properties(
        *axes,
        ("UnitScaleFactor", "double", "Number", "", frame.scale),
        ("OriginalUnitScaleFactor", "double", "Number", "", frame.scale),
        ("TimeMode", "enum", "", "", 0),
    )
    stamp = [record(word, value) for word, value in zip(_STAMP, (1000, 1970, 1, 1, 10, 0, 0, 0), strict=True)]
    header = [
        record("FBXHeaderVersion", 1003),
        record("FBXVersion", VERSION),
        record("EncryptionType", 0),
        record("CreationTimeStamp", children=stamp),
        record("Creator", CREATOR),
    ]
    document = [properties(("SourceObject", "object", "", ""), ("ActiveAnimStackName", "KString", "", "", ""))]
    return [
        record("FBXHeaderExtension", children=header),
        record("FileId", FILE_ID),
        record("CreationTime", CREATION_TIME),
        record("Creator", CREATOR),
        record("GlobalSettings", children=[record("Version", 1000), settings]),
        record(
            "Documents",
            children=[
                record("Count", 1),
                record("Document", np.int64(FIRST_ID - 1), "", "Scene", children=[*document, record("RootNode", np.int64(0))]),
            ],
        ),
        record("References"),
    ]


def definitions(objects: Sequence[Record]) -> Record:
    """Count the objects by class; one GlobalSettings stands outside the list."""
    counts: dict[str, int] = {"GlobalSettings": 1}
    for item in objects:
        counts[item.name] = counts.get(item.name, 0) + 1
    kinds = [record("ObjectType", name, children=[record("Count", count)]) for name, count in counts.items()]
    return record("Definitions", children=[record("Version", 100), record("Count", sum(counts.values())), *kinds])
