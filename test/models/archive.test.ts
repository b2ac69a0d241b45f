import { createWriteStream, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { describe, expect, it } from 'vitest';
import { ZipFile } from 'yazl';
import { InputError } from '../../src/errors/index.js';
import {
  Runner,
  listLayers,
  loadModel,
  prepare,
  rewrite,
  denseWeights,
  saveModel,
  saveSingle,
  type FloatTensor,
} from '../../src/models/index.js';
import { encodeModel } from '../../src/models/ir/codec.js';
import { DataType, EXTERNAL, type ModelProto, type TensorProto } from '../../src/models/ir/messages.js';
import { LIMITS, batchOf, node, noise, proto, scratch, tensorOf } from './graphs.js';

const WEIGHTS = noise(8 * 3 * 9, 3);
const DATA = Buffer.alloc(64 + WEIGHTS.byteLength);
Buffer.from(WEIGHTS.buffer).copy(DATA, 64);

interface External {
  location?: string;
  offset?: string;
  length?: string;
}

function external({
  location = 'model.onnx.data',
  offset = '64',
  length = String(WEIGHTS.byteLength),
}: External = {}): ModelProto {
  const weight: TensorProto = {
    name: 'w',
    dims: [8, 3, 3, 3],
    dataType: DataType.FLOAT,
    dataLocation: EXTERNAL,
    externalData: Object.entries({ location, offset, length }).map(([key, value]) => ({ key, value })),
  };
  return proto({
    input: [3, 6, 6],
    tensors: [weight, tensorOf('b', [8])],
    nodes: [node('Conv', ['x', 'w', 'b'], 'y', [], 'conv')],
  });
}

type Entries = Record<string, Buffer | { data: Buffer; mode?: number; compress?: boolean }>;

async function zipFile(entries: Entries): Promise<string> {
  const zip = new ZipFile();
  for (const [name, entry] of Object.entries(entries)) {
    const { data, mode = 0o100644, compress = true } = Buffer.isBuffer(entry) ? { data: entry } : entry;
    zip.addBuffer(data, name, { mode, compress });
  }
  zip.end();
  const path = join(scratch(), 'model.zip');
  await pipeline(zip.outputStream, createWriteStream(path));
  return path;
}

const onnx = (model: ModelProto) => Buffer.from(encodeModel(model));

/** Replaces every occurrence of `from` in a file; for what a decent archiver refuses to write. */
function patch(path: string, from: string, to: string): string {
  const bytes = readFileSync(path);
  for (let at = bytes.indexOf(from); at >= 0; at = bytes.indexOf(from, at + 1)) bytes.write(to, at, 'latin1');
  writeFileSync(path, bytes);
  return path;
}

/** Loads; whatever happens on failure, nothing may stay on the disk. */
async function refused(path: string, limits = LIMITS): Promise<InputError> {
  const directory = scratch();
  const error: unknown = await loadModel(path, { directory, limits }).catch((e: unknown) => e);
  if (!(error instanceof InputError)) throw new Error(`an input error is expected, not ${String(error)}`);
  expect(readdirSync(directory)).toEqual([]);
  return error;
}

async function run(model: Parameters<typeof Runner.open>[0]): Promise<FloatTensor> {
  const runner = await Runner.open(model, { threads: 1 });
  try {
    return (await runner.run(batchOf([3, 6, 6], 2))).get('y') as FloatTensor;
  } finally {
    await runner.release();
  }
}

describe('an archive of a model with external data', () => {
  it.each([
    ['at the top', ''],
    ['in a folder', 'export/v1/'],
  ])('is read, run, rewritten and written as an archive again: %s', async (_, folder) => {
    const path = await zipFile({
      [`${folder}model.onnx`]: onnx(external()),
      [`${folder}model.onnx.data`]: DATA,
      'README.md': Buffer.from('hello'),
    });
    const directory = scratch();
    const model = await loadModel(path, { directory, limits: LIMITS });
    expect(model.format).toBe('onnx_zip');
    expect(readdirSync(model.directory ?? '').sort()).toEqual(['model.onnx', 'model.onnx.data']);
    expect(model.directory?.startsWith(directory)).toBe(true);
    const prepared = prepare(model);
    const { layers } = await listLayers(prepared, batchOf([3, 6, 6], 2), { threads: 1 });
    const layer = layers[0];
    if (layer === undefined) throw new Error('one layer is expected');
    const dense = denseWeights(prepared, layer);
    expect(dense.weights).toEqual(WEIGHTS);
    const before = await run(model);

    const changed = rewrite(prepared, new Map([['conv', { ...dense, bias: dense.bias.map((v) => v + 1) }]]));
    const saved = join(scratch(), 'out.zip');
    await saveModel(changed, saved);
    const again = await loadModel(saved, { directory: scratch(), limits: LIMITS });
    expect(again.format).toBe('onnx_zip');
    const after = await run(again);
    expect(after.data.every((v, i) => Math.abs(v - (before.data[i] ?? 0) - 1) < 1e-5)).toBe(true);

    const single = join(scratch(), 'single.onnx');
    await saveSingle(model, single);
    expect((await run(single)).data).toEqual(before.data);
    expect((await loadModel(single, { directory: scratch(), limits: LIMITS })).format).toBe('onnx');
  });

  it('is written with the same bytes every time', async () => {
    const path = await zipFile({ 'model.onnx': onnx(external()), 'model.onnx.data': DATA });
    const model = await loadModel(path, { directory: scratch(), limits: LIMITS });
    const [a, b] = [join(scratch(), 'a.zip'), join(scratch(), 'b.zip')];
    await saveModel(model, a);
    await saveModel(model, b);
    expect(Buffer.compare(readFileSync(a), readFileSync(b))).toBe(0);
    expect(readdirSync(join(a, '..'))).toEqual(['a.zip']);
  });
});

describe('a hostile or broken archive leaves nothing behind', () => {
  it.each(['../../etc/passwd', '/etc/passwd', '..', 'sub/model.data', 'a\\b', 'C:passwd', '', 'model.onnx'])(
    'external data at %j',
    async (location) => {
      const error = await refused(
        await zipFile({ 'model.onnx': onnx(external({ location })), 'model.onnx.data': DATA }),
      );
      expect(error).toMatchObject({
        code: 'invalid_model',
        message: expect.stringContaining('only a plain file name') as string,
      });
      expect(error.faults[0]?.pointer).toBe('#model/initializer/w');
    },
  );

  it.each<[string, External]>([
    ['an offset past the end', { offset: '100000' }],
    ['a length past the end', { offset: '65' }],
    ['a length that is not the shape', { length: '8' }],
    ['a negative offset', { offset: '-1' }],
    ['an offset that is no number', { offset: '0x10' }],
  ])('external data with %s', async (_, where) => {
    const error = await refused(await zipFile({ 'model.onnx': onnx(external(where)), 'model.onnx.data': DATA }));
    expect(error).toMatchObject({ code: 'invalid_model', message: expect.stringContaining('initializer w') as string });
  });

  it('external data in a node', async () => {
    const model = external();
    const weight = model.graph?.initializer.shift();
    model.graph?.node.unshift(node('Constant', [], 'w', [{ name: 'value', type: 4, t: weight ?? null }], 'weights'));
    const error = await refused(await zipFile({ 'model.onnx': onnx(model), 'model.onnx.data': DATA }));
    expect(error.message).toMatch(/node weights keeps external data outside/);
  });

  it('external data that is missing', async () => {
    const error = await refused(await zipFile({ 'model.onnx': onnx(external()) }));
    expect(error.message).toMatch(/model\.onnx\.data, which is not in the archive/);
  });

  it.each([
    ['a path above', '../../etc/passwd'],
    ['an absolute path', '/etc/passwd/aaaaa'],
    ['a path with backslashes', '..\\..\\etc\\passw'],
  ])('an entry with %s', async (_, name) => {
    const placeholder = 'p'.repeat(name.length);
    const path = patch(await zipFile({ 'model.onnx': onnx(external()), [placeholder]: DATA }), placeholder, name);
    expect(await refused(path)).toMatchObject({ code: 'invalid_archive' });
  });

  it('a symbolic link', async () => {
    const link = { data: Buffer.from('/etc/passwd'), mode: 0o120777 };
    const error = await refused(await zipFile({ 'model.onnx': onnx(external()), 'model.onnx.data': link }));
    expect(error).toMatchObject({
      code: 'invalid_archive',
      message: expect.stringContaining('symbolic link') as string,
    });
  });

  it('two entries of one name', async () => {
    const path = patch(
      await zipFile({ 'model.onnx': onnx(external()), 'nodel.onnx': DATA }),
      'nodel.onnx',
      'model.onnx',
    );
    expect((await refused(path)).message).toMatch(/two entries are named model.onnx/);
  });

  it('no model, or two', async () => {
    expect((await refused(await zipFile({ 'readme.txt': DATA }))).message).toMatch(
      /must have one .onnx file; it has 0/,
    );
    const two = await zipFile({ 'a.onnx': onnx(external()), 'b.onnx': onnx(external()) });
    expect((await refused(two)).message).toMatch(/it has 2/);
  });

  it('more entries than allowed', async () => {
    const entries = Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`f${String(i)}`, Buffer.from('x')]));
    expect(await refused(await zipFile(entries))).toMatchObject({
      code: 'limit_exceeded',
      message: expect.stringContaining('MAX_ARCHIVE_ENTRIES') as string,
    });
  });

  it('a bomb that says how large it is', async () => {
    const path = await zipFile({ 'model.onnx': onnx(external()), 'model.onnx.data': Buffer.alloc(20_000_000) });
    expect(await refused(path)).toMatchObject({
      code: 'limit_exceeded',
      message: expect.stringContaining('MAX_ARCHIVE_RATIO') as string,
    });
    expect(await refused(path, { ...LIMITS, maxModelBytes: 1_000_000, maxArchiveRatio: 1e9 })).toMatchObject({
      code: 'limit_exceeded',
    });
  });

  it('a bomb that lies about its size stops while it is unpacked', async () => {
    const zip = new ZipFile();
    const block = Buffer.alloc(1 << 20);
    zip.addReadStreamLazy('model.onnx', { compress: true }, (done) => {
      done(
        null,
        Readable.from(
          (function* () {
            for (let i = 0; i < 300; i++) yield block;
          })(),
        ),
      );
    });
    zip.end();
    const path = join(scratch(), 'bomb.zip');
    await pipeline(zip.outputStream, createWriteStream(path));
    const bytes = readFileSync(path);
    // The size in the central directory is what a reader plans with.
    const entry = bytes.indexOf('PK\x01\x02', 0, 'latin1');
    expect(bytes.readUInt32LE(entry + 24)).toBe(300 << 20);
    bytes.writeUInt32LE(5000, entry + 24);
    writeFileSync(path, bytes);
    const started = performance.now();
    expect(['invalid_archive', 'limit_exceeded']).toContain((await refused(path)).code);
    expect(performance.now() - started).toBeLessThan(2000);
  });

  it('a truncated archive', async () => {
    const path = await zipFile({ 'model.onnx': onnx(external()), 'model.onnx.data': DATA });
    writeFileSync(path, readFileSync(path).subarray(0, -30));
    expect(await refused(path)).toMatchObject({ code: 'invalid_archive' });
  });

  it('damaged content', async () => {
    const path = await zipFile({ 'model.onnx': onnx(external()), 'model.onnx.data': DATA });
    const bytes = readFileSync(path);
    bytes.fill(0xff, 60, 120);
    writeFileSync(path, bytes);
    expect(await refused(path)).toMatchObject({ origin: 'input' });
  });
});
