// Ask the YAML language server, as an editor does, what it says of a manifest and what it offers at a place.
// node ask_yaml_server.mjs NODE_MODULES FILE LINE COLUMN   (from 0)
// Prints {"problems": [{"line", "message"}], "completions": [...], "hover": "..."}
import {spawn} from 'node:child_process';
import {readFileSync} from 'node:fs';
import {pathToFileURL} from 'node:url';

const [modules, file, line, column] = process.argv.slice(2);
const server = spawn('node', [`${modules}/yaml-language-server/bin/yaml-language-server`, '--stdio']);
const waiting = new Map();
let diagnostics, buffer = Buffer.alloc(0), next = 1;

function send(message) {
  const body = JSON.stringify({jsonrpc: '2.0', ...message});
  server.stdin.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}

function ask(method, params) {
  const id = next++;
  send({id, method, params});
  return new Promise(resolve => waiting.set(id, resolve));
}

function hear(message) {
  if (message.method === 'textDocument/publishDiagnostics') diagnostics?.(message.params.diagnostics);
  else if (message.method === 'workspace/configuration') send({id: message.id, result: message.params.items.map(item =>
    item.section === 'yaml' ? {validate: true, completion: true, hover: true, schemaStore: {enable: false}} : {})});
  else if (message.method && message.id !== undefined) send({id: message.id, result: null});
  else waiting.get(message.id)?.(message.result);
}

server.stdout.on('data', data => {
  buffer = Buffer.concat([buffer, data]);
  for (;;) {
    const head = buffer.indexOf('\r\n\r\n');
    if (head < 0) return;
    const length = Number(/Content-Length: (\d+)/i.exec(buffer.subarray(0, head))[1]);
    if (buffer.length < head + 4 + length) return;
    const body = buffer.subarray(head + 4, head + 4 + length).toString();
    buffer = buffer.subarray(head + 4 + length);
    hear(JSON.parse(body));
  }
});

const uri = pathToFileURL(file).href;
await ask('initialize', {processId: process.pid, rootUri: null, capabilities: {
  workspace: {configuration: true}, textDocument: {publishDiagnostics: {}, completion: {}, hover: {contentFormat: ['plaintext']}}}});
send({method: 'initialized', params: {}});
const found = new Promise(resolve => { diagnostics = resolve; });
send({method: 'textDocument/didOpen', params: {textDocument: {uri, languageId: 'yaml', version: 1, text: readFileSync(file, 'utf8')}}});
const problems = (await found).map(one => ({line: one.range.start.line + 1, message: one.message}));
const place = {textDocument: {uri}, position: {line: Number(line), character: Number(column)}};
const offered = await ask('textDocument/completion', place);
const hover = await ask('textDocument/hover', place);
console.log(JSON.stringify({problems, completions: (offered?.items ?? []).map(item => item.label), hover: JSON.stringify(hover?.contents ?? '')}));
server.kill();
