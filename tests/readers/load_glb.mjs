// Load a GLB with three.js' GLTFLoader in node; Draco is unpacked by Google's decoder, pictures are left out.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

export async function loadGlb(modules, file) {
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
        const kind = types[name];
        const [Values, read] = {
          Float32Array: [draco.DracoFloat32Array, 'GetAttributeFloatForAllPoints'],
          Uint8Array: [draco.DracoUInt8Array, 'GetAttributeUInt8ForAllPoints'],
          Uint16Array: [draco.DracoUInt16Array, 'GetAttributeUInt16ForAllPoints'],
        }[kind];
        const values = new Values();
        if (!decoder[read](mesh, attribute, values)) throw new Error(`${name} is no ${kind}`);
        const rows = globalThis[kind].from({ length: values.size() }, (_, k) => values.GetValue(k));
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
  return { THREE, whole, log };
}
