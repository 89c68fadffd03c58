"""Collect the objects of an FBX and who hangs on whom, then write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from forge_batch.ops.fbx_file import Record, Value, encode, object_name, record
from forge_batch.ops.fbx_header import FIRST_ID, Frame, definitions, preamble
from forge_batch.ops.fbx_objects import bone_attribute, lod_attribute, material, model, null_attribute, texture, video

ROOT = np.int64(0)
"""What stands at the top of the scene hangs on."""


class Graph:
    """Number objects in the order they come and keep who hangs on whom."""

    def __init__(self) -> None:
        self.objects: list[Record] = []
        self.connections: list[Record] = []

    def add(self, item: Record) -> np.int64:
        """Put an id in front of an object's values and keep it."""
        number = np.int64(FIRST_ID + len(self.objects))
        self.objects.append(Record(item.name, (number, *item.values), item.children))
        return number

    def connect(self, child: np.int64, parent: np.int64, target: str = "") -> None:
        """Hang an object on another, or on a property of it."""
        values: tuple[Value, ...] = ("OP", child, parent, target) if target else ("OO", child, parent)
        self.connections.append(Record("C", values))

    def add_material(self, name: str, textures: Mapping[str, str]) -> np.int64:
        """Add a material with its textures and give its id."""
        slot = self.add(material(name, textures))
        for kind, file in textures.items():
            picture, clip = self.add(texture(file)), self.add(video(file))
            self.connect(picture, slot, kind)
            self.connect(clip, picture)
        return slot

    def add_lod_group(self, name: str, thresholds: Sequence[float]) -> np.int64:
        """Add the group whose children are levels and give its id."""
        group = self.add(model(name, "LodGroup"))
        self.connect(group, ROOT)
        self.connect(self.add(lod_attribute(name, thresholds)), group)
        return group

    def add_mesh(self, name: str, layers: list[Record], parent: np.int64) -> np.int64:
        """Add a model and its geometry under one name and give the model's id; the geometry's is the next one."""
        number = self.add(model(name, "Mesh"))
        geometry = self.add(record("Geometry", object_name(name, "Geometry"), "Mesh", children=layers))
        self.connect(number, parent)
        self.connect(geometry, number)
        return number

    def add_bone(self, name: str, place: tuple[float, float, float], parent: np.int64) -> np.int64:
        """Add a bone, unturned, and give its id."""
        number = self.add(model(name, "LimbNode", place))
        self.connect(self.add(bone_attribute(name)), number)
        self.connect(number, parent)
        return number

    def add_empty(self, name: str, place: tuple[float, float, float], parent: np.int64) -> np.int64:
        """Add an object that is only a place and give its id."""
        number = self.add(model(name, "Null", place))
        self.connect(self.add(null_attribute(name)), number)
        self.connect(number, parent)
        return number

    def encode(self, frame: Frame) -> bytes:
        """Give the bytes of the file that holds these objects."""
        objects, hangs = record("Objects", children=self.objects), record("Connections", children=self.connections)
        takes = record("Takes", children=[record("Current", "")])
        return encode([*preamble(frame), definitions(self.objects), objects, hangs, takes])
