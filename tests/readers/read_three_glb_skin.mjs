// Bend the skeleton that three.js' GLTFLoader finds in a GLB file and print where every corner goes, in glTF's own frame.
// node read_three_glb_skin.mjs NODE_MODULES FILE.glb POSES.json
// POSES.json: a list of poses, each the quaternion [x, y, z, w] of some bones by name.
import fs from 'node:fs';
import { loadGlb } from './load_glb.mjs';

const [modules, file, poses] = process.argv.slice(2);
const { THREE, whole, log } = await loadGlb(modules, file);

const bones = [];
const meshes = [];
whole.scene.traverse((thing) => {
  if (thing.isBone) bones.push(thing);
  if (thing.isSkinnedMesh) meshes.push(thing);
});
const result = [];
for (const pose of JSON.parse(fs.readFileSync(poses))) {
  for (const bone of bones) bone.quaternion.set(...(pose[bone.name] ?? [0, 0, 0, 1]));
  whole.scene.updateMatrixWorld(true);
  const corners = {};
  for (const mesh of meshes) {
    mesh.skeleton.update();
    const index = mesh.geometry.index;
    corners[mesh.name] = Array.from({ length: index.count }, (_, k) =>
      mesh.getVertexPosition(index.getX(k), new THREE.Vector3()).applyMatrix4(mesh.matrixWorld).toArray());
  }
  result.push(corners);
}
process.stdout.write(JSON.stringify({ bones: bones.map((bone) => bone.name), poses: result, log }));
