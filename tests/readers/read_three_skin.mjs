// Bend the skeleton that three.js' FBXLoader finds in an FBX file and print where every corner goes, turned back into Z-up.
// node read_three_skin.mjs NODE_MODULES FILE.fbx POSES.json
// POSES.json: a list of poses, each the quaternion [x, y, z, w] of some bones by name.
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [modules, file, poses] = process.argv.slice(2);
const load = (name) => import(pathToFileURL(path.join(modules, 'three', name)));
const picture = () => ({ addEventListener() {}, removeEventListener() {}, style: {} });
globalThis.document = { createElementNS: picture, createElement: picture };
globalThis.self = globalThis;
const log = [];
for (const kind of ['warn', 'error', 'log']) console[kind] = (...words) => log.push(words.join(' '));

const THREE = await load('build/three.module.js');
const { FBXLoader } = await load('examples/jsm/loaders/FBXLoader.js');
const bytes = fs.readFileSync(file);
const scene = new FBXLoader().parse(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length), '');

const upright = ([x, y, z]) => [x, -z, y];
const bones = [];
const meshes = [];
scene.traverse((thing) => {
  // For each further skin that shares a bone the loader puts one more bone of that name round it: only the outermost turns.
  if (thing.isBone && thing.parent.name !== thing.name) bones.push(thing);
  if (thing.isSkinnedMesh) meshes.push(thing);
});
const rest = bones.map((bone) => bone.quaternion.clone());
const result = [];
for (const pose of JSON.parse(fs.readFileSync(poses))) {
  bones.forEach((bone, index) => {
    bone.quaternion.copy(rest[index]);
    if (pose[bone.name]) bone.quaternion.multiply(new THREE.Quaternion(...pose[bone.name]));
  });
  scene.updateMatrixWorld(true);
  const corners = {};
  for (const mesh of meshes) {
    mesh.skeleton.update();
    corners[mesh.name] = [];
    for (let k = 0; k < mesh.geometry.attributes.position.count; k++) {
      const place = mesh.getVertexPosition(k, new THREE.Vector3()).applyMatrix4(mesh.matrixWorld);
      corners[mesh.name].push(upright(place.toArray()));
    }
  }
  result.push(corners);
}
const sums = meshes.map((mesh) => {
  const weights = mesh.geometry.attributes.skinWeight;
  const each = Array.from({ length: weights.count }, (_, k) => [0, 1, 2, 3].reduce((sum, c) => sum + weights.getComponent(k, c), 0));
  return [Math.min(...each), Math.max(...each)];
});
process.stdout.write(JSON.stringify({ bones: bones.map((bone) => bone.name), poses: result, sums, log }));
