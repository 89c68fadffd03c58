// Print the report of Khronos' glTF validator on a GLB as JSON.
// node validate_glb.mjs NODE_MODULES FILE.glb
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const [modules, file] = process.argv.slice(2);
const validator = createRequire(import.meta.url)(path.join(path.resolve(modules), 'gltf-validator'));
const report = await validator.validateBytes(new Uint8Array(fs.readFileSync(file)), { uri: path.basename(file), maxIssues: 100 });
process.stdout.write(JSON.stringify(report));
