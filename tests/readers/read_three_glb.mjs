// Print what three.js' GLTFLoader finds in a GLB as JSON, in glTF's own frame; Draco is unpacked by Google's decoder.
// node read_three_glb.mjs NODE_MODULES FILE.glb
import { loadGlb } from './load_glb.mjs';

const [modules, file] = process.argv.slice(2);
const { THREE, whole, log } = await loadGlb(modules, file);

const corners = (geometry, name) => {
  const attribute = geometry.getAttribute(name);
  if (!attribute) return [];
  const index = geometry.index;
  return Array.from({ length: index.count }, (_, k) =>
    Array.from({ length: attribute.itemSize }, (_, axis) => attribute.getComponent(index.getX(k), axis)));
};
const meshes = [];
const places = [];
whole.scene.traverse((thing) => {
  if (thing === whole.scene) return;
  const parent = thing.parent === whole.scene ? null : thing.parent.name;
  if (!thing.isMesh) {
    places.push({ name: thing.name, parent, place: thing.getWorldPosition(new THREE.Vector3()).toArray() });
    return;
  }
  const material = thing.material;
  meshes.push({
    name: thing.name,
    parent,
    triangles: thing.geometry.index.count / 3,
    positions: corners(thing.geometry, 'position'),
    normals: corners(thing.geometry, 'normal'),
    tangents: corners(thing.geometry, 'tangent'),
    uv: corners(thing.geometry, 'uv'),
    second_uv: corners(thing.geometry, 'uv1'),
    materials: [material.name],
    maps: ['map', 'normalMap', 'roughnessMap', 'metalnessMap', 'aoMap'].filter((kind) => material[kind]),
  });
});
process.stdout.write(JSON.stringify({ meshes, places, log }));
