// Shows a compressed model in a browser: node examples/browser/serve.mjs MODEL.zip [PORT]. Everything comes from this machine.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { basename, dirname, extname, join } from 'node:path';
import { openPromise } from 'yauzl';

const [zip, port = '8000'] = process.argv.slice(2);
if (zip === undefined) {
  console.error('usage: node examples/browser/serve.mjs MODEL.zip [PORT]');
  process.exit(2);
}

const TYPES = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
};
const { resolve } = createRequire(import.meta.url);
/** The folder with the bundles of a package. */
const bundles = (name) => join(dirname(resolve(`${name}/package.json`)), 'dist');
const tensorflow = ['core', 'backend-cpu', 'backend-wasm', 'layers', 'converter'].map((part) =>
  bundles(`@tensorflow/tfjs-${part}`),
);

/** The files in the zip by name; the .json is the model, whatever it is called. */
async function filesOf(path) {
  const archive = await openPromise(path, { lazyEntries: true });
  const files = new Map();
  await new Promise((done, failed) => {
    archive.on('error', failed).on('end', done);
    archive.on('entry', async (entry) => {
      const parts = [];
      for await (const part of await archive.openReadStreamPromise(entry)) parts.push(part);
      const name = basename(entry.fileName);
      files.set(name.endsWith('.json') ? 'model.json' : name, Buffer.concat(parts));
      archive.readEntry();
    });
    archive.readEntry();
  });
  return files;
}

const model = await filesOf(zip);

async function find(path) {
  const name = basename(path);
  if (path === '/') return readFile(new URL('index.html', import.meta.url));
  if (path.startsWith('/model/')) return model.get(name);
  if (!path.startsWith('/tensorflow/')) return undefined;
  const read = await Promise.allSettled(tensorflow.map((folder) => readFile(join(folder, name))));
  return read.find(({ status }) => status === 'fulfilled')?.value;
}

const server = createServer(async (request, response) => {
  const path = new URL(request.url, 'http://localhost').pathname;
  const bytes = await find(path);
  const type = path === '/' ? '.html' : extname(path);
  response.writeHead(bytes === undefined ? 404 : 200, { 'content-type': TYPES[type] ?? 'application/octet-stream' });
  response.end(bytes);
});
server.listen(Number(port), '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}/`));
