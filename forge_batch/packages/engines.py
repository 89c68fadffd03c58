"""List the engines that packages are made for: what each one's package holds, and what a person is to do with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from forge_batch.ops.glb_file import INFLUENCES
from forge_batch.packages.asset import Asset
from forge_batch.packages.blender import blender_files
from forge_batch.packages.godot4 import godot4_files
from forge_batch.packages.ue5 import ue5_files
from forge_batch.packages.ue5_recipe import ue5_recipe
from forge_batch.packages.unity_hdrp import unity_hdrp_files
from forge_batch.packages.web import web_files


@dataclass(frozen=True)
class Engine:
    """Be what there is to know of an engine.

    Attributes:
        name: As manifests write it.
        title: As people call it.
        files: Gives the files to import, by name.
        axes: Which of the house's axes (0 width, 1 height, 2 depth) lie along the engine's X, Y and Z.
        maps: What the textures are, in a few words.
        recipe: Gives what tells the engine's importer how to import, from the package's other files; None if there is none.
        how: How to import; `{folder}`, `{mesh}`, `{orm}` and `{mask}` stand for names.
        how_skinned: What is to be said besides where there is a skeleton.
        how_masked: What is to be said besides where the base colour's alpha cuts holes.
        how_two_sided: The same of a sheet that shows both its sides.
        influences: Most joints of a vertex that its models hold.
    """

    name: str
    title: str
    files: Callable[[Asset], dict[str, bytes]]
    axes: tuple[int, int, int]
    maps: str
    how: str
    how_skinned: str
    how_masked: str
    how_two_sided: str
    influences: int
    recipe: Callable[[Asset, Mapping[str, bytes]], dict[str, Any]] | None = None

    def steps(self, asset: Asset) -> str:
        """Say how to import an asset."""
        names = asset.names
        model = names.mesh if self.name == "ue5" else asset.model
        every = asset.atlas_names
        words = {"folder": asset.folder, "mesh": model}
        words |= {kind: " and ".join(one.texture(kind) for one in every) for kind in ("orm", "mask")}
        words["color"] = " and ".join(one.texture("base_color") for one in every)
        sided = self.how_two_sided if asset.two_sided and not asset.masked else ""
        more = (self.how_skinned if asset.rig else "", self.how_masked if asset.masked else "", sided)
        said = " ".join(filter(None, (self.how, *more))).format(**words)
        if len(every) == 1:
            return said
        first, last = every[0].material, every[-1].material
        return f"{said} It has {len(every)} materials, {first} to {last}, each with the textures of its number."


ENGINES: Mapping[str, Engine] = {
    engine.name: engine
    for engine in (
        Engine(
            "ue5",
            "Unreal Engine 5",
            ue5_files,
            (2, 0, 1),
            "base colour, normal (DirectX in the zip, OpenGL in the GLB), ORM",
            "Unzip and drag the folder {folder} into the content browser. Set {orm} to sRGB off and Masks (no sRGB); it "
            "holds occlusion, roughness and metallic in red, green and blue. Or drag the folder {folder}_glTF, whose "
            "{mesh}.glb wires all three by itself but has no LODs and no hulls. With the plugin ForgeImport put the zip into "
            "its folder instead: it does all this by itself.",
            "SK_... is the skeletal mesh; {mesh} is the same without bones.",
            "The alpha of {color} cuts holes: from the FBX, set the material's blend mode to Masked, tick Two Sided, and wire "
            "that alpha to Opacity Mask (clip value 0.5). ForgeImport and the GLB do so by themselves.",
            "It is a sheet: tick Two Sided in its material. ForgeImport and the GLB do.",
            8,
            ue5_recipe,
        ),
        Engine(
            "unity_hdrp",
            "Unity (HDRP)",
            unity_hdrp_files,
            (0, 1, 2),
            "base colour, normal (OpenGL), mask map (metallic, occlusion, detail, smoothness)",
            "Unzip, drag the folder {folder} into Assets and {mesh} into the scene: it has scale 1, its front on +Z, and an "
            "LOD group. In an HDRP/Lit material set {mask} as the mask map, with sRGB off in its import settings. Unity "
            "makes no colliders from names: put the meshes of {mesh}_Colliders into Mesh Colliders, each Convex.",
            "In the model's import settings choose Rig > Animation Type > Humanoid (or Generic).",
            "The alpha of {color} cuts holes: in the material tick Alpha Clipping (threshold 0.5) and Double-Sided.",
            "It is a sheet: tick Double-Sided in the material.",
            8,
        ),
        Engine(
            "godot4",
            "Godot 4",
            godot4_files,
            (0, 1, 2),
            "base colour, normal (OpenGL) and ORM, inside the GLB",
            "Unzip, put the folder {folder} into the project and drag {mesh}.glb into a scene. Materials are wired, nodes "
            "that end with -convcolonly become static bodies with convex shapes, and Godot makes LODs by itself.",
            "A character has no such nodes: give it a shape that moves with it. A BoneMap in the import settings renames its "
            "bones for Godot's retargeting.",
            "Its material is cut by alpha (scissor) and has two sides.",
            "It is a sheet, and its material shows both sides.",
            INFLUENCES,
        ),
        Engine(
            "blender",
            "Blender",
            blender_files,
            (0, 2, 1),
            "base colour, normal (OpenGL), occlusion, roughness and metallic, each an image of its own; ORM inside the GLB",
            "File > Import > glTF 2.0, {mesh}.glb: it stands upright with its front on -Y and its material wired. Coarser "
            "levels and hulls are in {mesh}_LODs.fbx. For materials of your own set every image but the base colour to "
            "Non-Color.",
            "Bones point along the figure's own axes, not along the limbs.",
            "The material of the GLB is cut by alpha. In one of your own, wire the alpha of {color} through a Math node, "
            "Greater Than 0.5.",
            "It is a sheet, and its material shows both sides.",
            INFLUENCES,
        ),
        Engine(
            "web",
            "the web",
            web_files,
            (0, 1, 2),
            "base colour, normal (OpenGL) and ORM as WebP, inside the GLB",
            "Load {mesh}.glb with three.js (GLTFLoader and DRACOLoader), Babylon.js or model-viewer. Its mesh is packed by "
            "Draco, its front looks along +Z.",
            "Its skeleton can be bent, at most four joints a vertex.",
            "Its material is cut by alpha and has two sides.",
            "It is a sheet, and its material shows both sides.",
            INFLUENCES,
        ),
    )
}
