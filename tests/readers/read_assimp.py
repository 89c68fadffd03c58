"""Print what assimp finds in an FBX or GLB file as JSON; by a Python that has assimp-py, in a process of its own.

python read_assimp.py FILE

Positions are as the meshes have them: the file's own frame and unit, without the transforms of nodes. Names are the meshes'.
"""

from __future__ import annotations

import json
import sys

import assimp_py
import numpy as np


def main(path: str) -> None:
    """Import and print."""
    scene = assimp_py.import_file(path, assimp_py.Process_Triangulate)
    meshes = []
    for mesh in scene.meshes:
        index = np.asarray(mesh.indices).reshape(-1)
        points = np.asarray(mesh.vertices, float).reshape(-1, 3)
        normals = np.asarray(mesh.normals, float).reshape(-1, 3)[index].tolist() if mesh.normals else []
        uv = [np.asarray(rows, float).reshape(len(points), -1) for rows in mesh.texcoords or []]
        meshes.append(
            {
                "name": mesh.name,
                "triangles": len(index) // 3,
                "positions": points[index].tolist(),
                "normals": normals,
                "uv": uv[0][index, :2].tolist() if uv else [],
                "uv_sets": len(uv),
                "material": mesh.material_index,
            }
        )
    json.dump({"meshes": meshes, "materials": len(scene.materials)}, sys.stdout)


main(sys.argv[1])
