// Print what three.js' GLTFLoader finds in a GLB as JSON, in glTF's own frame; Draco is unpacked by Google's decoder.
// node read_three_glb.mjs NODE_MODULES FILE.glb
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [modules, file] = process.argv.slice(2);
const base = path.resolve(modules, 'three');
const load = (name) => import(pathToFileURL(path.join(base, name)));
globalThis.self = globalThis;
const log = [];
for (const kind of ['warn', 'error', 'log']) console[kind] = (...words) => log.push(words.join(' '));

const THREE = await load('build/three.module.js');
const { GLTFLoader } = await load('examples/jsm/loaders/GLTFLoader.js');

// The decoder is CommonJS inside a package of modules: give it a module of its own to fill.
const source = fs.readFileSync(path.join(base, 'examples/jsm/libs/draco/gltf/draco_decoder.js'), 'utf8');
const filled = { exports: {} };
new Function('module', 'exports', 'require', '__dirname', '__filename', source)(
  filled, filled.exports, createRequire(import.meta.url), base, path.join(base, 'draco_decoder.js'),
);

// Stand in for DRACOLoader, which works in a browser's worker.
const dracoLoader = {
  preload() {},
  async decodeDracoFile(buffer, done, ids, types) {
    const draco = await filled.exports();
    const decoder = new draco.Decoder();
    const data = new draco.DecoderBuffer();
    data.Init(new Int8Array(buffer), buffer.byteLength);
    const mesh = new draco.Mesh();
    const status = decoder.DecodeBufferToMesh(data, mesh);
    if (!status.ok()) throw new Error(status.error_msg());
    const geometry = new THREE.BufferGeometry();
    for (const [name, id] of Object.entries(ids)) {
      const attribute = decoder.GetAttributeByUniqueId(mesh, id);
      if (types[name] !== 'Float32Array') throw new Error(`${name} is ${types[name]}`);
      const values = new draco.DracoFloat32Array();
      decoder.GetAttributeFloatForAllPoints(mesh, attribute, values);
      const rows = Float32Array.from({ length: values.size() }, (_, k) => values.GetValue(k));
      geometry.setAttribute(name, new THREE.BufferAttribute(rows, attribute.num_components()));
    }
    const index = [];
    const face = new draco.DracoInt32Array();
    for (let k = 0; k < mesh.num_faces(); k++) {
      decoder.GetFaceFromMesh(mesh, k, face);
      for (let c = 0; c < 3; c++) index.push(face.GetValue(c));
    }
    geometry.setIndex(index);
    done(geometry);
  },
};

const loader = new GLTFLoader();
loader.setDRACOLoader(dracoLoader);
loader.register(() => ({ name: 'no pictures in node', loadTexture: async () => new THREE.Texture() }));
const bytes = fs.readFileSync(file);
const whole = await loader.parseAsync(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length), '');
whole.scene.updateMatrixWorld(true);

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
