// Print what three.js' FBXLoader finds in an FBX file as JSON, turned back from its Y-up world into Z-up.
// node read_three.mjs NODE_MODULES FILE.fbx
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [modules, file] = process.argv.slice(2);
const load = (name) => import(pathToFileURL(path.join(modules, 'three', name)));

// The loader makes <img> elements for textures; only their addresses matter here.
const picture = () => ({ addEventListener() {}, removeEventListener() {}, style: {} });
globalThis.document = { createElementNS: picture, createElement: picture };
globalThis.self = globalThis;
const log = [];
for (const kind of ['warn', 'error', 'log']) console[kind] = (...words) => log.push(words.join(' '));

const THREE = await load('build/three.module.js');
const { FBXLoader } = await load('examples/jsm/loaders/FBXLoader.js');

const loaded = {};
const manager = new THREE.LoadingManager();
manager.setURLModifier((url) => ((loaded.last = url), url));
const bytes = fs.readFileSync(file);
const scene = new FBXLoader(manager).parse(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length), '');
scene.updateMatrixWorld(true);

const upright = ([x, y, z]) => [x, -z, y];
const corners = (attribute, apply) => {
  if (!attribute) return [];
  const rows = [];
  for (let k = 0; k < attribute.count; k++) {
    const row = Array.from({ length: attribute.itemSize }, (_, axis) => attribute.getComponent(k, axis));
    rows.push(apply ? upright(apply(new THREE.Vector3(...row)).toArray()) : row);
  }
  return rows;
};
const parentOf = (thing) => (thing.parent === scene ? null : thing.parent.name);

const meshes = [];
const groups = [];
const textures = {};
scene.traverse((thing) => {
  if (thing === scene) return;
  if (!thing.isMesh) {
    groups.push({ name: thing.name, children: thing.children.map((child) => child.name) });
    return;
  }
  const geometry = thing.geometry;
  const turn = new THREE.Matrix3().getNormalMatrix(thing.matrixWorld);
  const materials = [].concat(thing.material);
  for (const material of materials) {
    for (const [key, value] of Object.entries(material)) if (value && value.isTexture) textures[key] = value.name;
  }
  meshes.push({
    name: thing.name,
    parent: parentOf(thing),
    triangles: geometry.attributes.position.count / 3,
    positions: corners(geometry.attributes.position, (v) => v.applyMatrix4(thing.matrixWorld)),
    normals: corners(geometry.attributes.normal, (v) => v.applyMatrix3(turn).normalize()),
    uv: corners(geometry.attributes.uv),
    materials: materials.map((material) => material.name),
  });
});
process.stdout.write(
  JSON.stringify({ unit_metres: scene.userData.unitScaleFactor / 100, warnings: log, meshes, groups, textures }),
);
