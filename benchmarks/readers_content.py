"""Lay out the content folder that benchmarks.readers judges: five public objects and a person, for all engines.

python -m benchmarks.readers_content FOLDER

Then `forge-batch run --content FOLDER`. The five come from this project's inbox/; the person is rendered from the body in
tests/data/human, and gets a skeleton.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from PIL import Image

from forge_batch.ops.mesh import Mesh
from forge_batch.ops.normals import vertex_normals
from forge_batch.ops.render import Maps, render
from tests.figures import human

ROOT = Path(__file__).parents[1]
OBJECTS = ("ammo_crate", "hanging_lantern", "horse", "mailbox", "wood_barrel")
ENGINES = "forge: 1\nexport:\n  engines: [ue5, unity_hdrp, godot4, blender, web]\n"
# not strict: whether files are read right does not hang on how good an object looks
EXPORT = "inspect: {strict: false}\nexport:\n  lightmap_resolution: 256\n  sockets: {Grip: [10, 0, 55]}\n"
PERSON = """forge: 1
preset: character_UE5_npc
kind: character
images: person
place: {height_cm: 167}
decimate: {triangles: 6000}
unwrap: {texture_size: 1024}
inspect: {strict: false}
rig: on
"""
VIEWS = {"front": 0.0, "right": 90.0, "back": 180.0, "left": 270.0}


def main() -> None:
    """Write the folder."""
    folder = Path(sys.argv[1])
    (folder / "manifests").mkdir(parents=True)
    (folder / "forge.yaml").write_text(ENGINES)
    for name in OBJECTS:
        shutil.copytree(ROOT / "inbox" / name, folder / "inbox" / name)
        text = (ROOT / "manifests" / f"{name}.yaml").read_text()
        (folder / "manifests" / f"{name}.yaml").write_text(text + EXPORT)
    pictures = folder / "inbox" / "person"
    pictures.mkdir()
    mesh, _ = human()
    smooth = Mesh(mesh.vertices, mesh.faces, normals=vertex_normals(mesh.vertices, mesh.faces))
    for view, azimuth in VIEWS.items():
        Image.fromarray(render(smooth, Maps(None, None, None), azimuth, 0.0, 1024, azimuth - 30.0)).save(
            pictures / f"{view}.png"
        )
    (folder / "manifests" / "person.yaml").write_text(PERSON)


if __name__ == "__main__":
    main()
