import { createWriteStream, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { ZipFile } from 'yazl';
import {
  checkLabels,
  encodeNpy,
  openDataset,
  writeNpz,
  type Dataset,
  type DatasetLimits,
  type Tensor,
  type DatasetOptions,
} from '../../src/datasets/index.js';
import { InputError } from '../../src/errors/index.js';

const LIMITS: DatasetLimits = { maxArchiveEntries: 20, maxArchiveRatio: 100, maxSamples: 1000, maxModelBytes: 2 ** 26 };
const root = mkdtempSync(join(tmpdir(), 'sparank-datasets-'));
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

let counter = 0;
const fresh = (name: string) => join(root, `${String(counter++)}-${name}`);
function work(): string {
  return mkdtempSync(join(root, 'work-'));
}

const pixels = (dims: number[]): Tensor => ({
  dims,
  data: Uint8Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => (i * 37) % 251),
});
const labels = (values: number[]): Tensor => ({ dims: [values.length], data: BigInt64Array.from(values, BigInt) });

async function npz(arrays: Record<string, Tensor>, compress = false): Promise<string> {
  const path = fresh('data.npz');
  await writeNpz(path, arrays, { compress });
  return path;
}

/** Entries given as bytes, for what our writer would never write. */
async function raw(entries: Record<string, Buffer>): Promise<string> {
  const path = fresh('raw.npz');
  const zip = new ZipFile();
  for (const [name, data] of Object.entries(entries)) zip.addBuffer(data, name, { compress: false });
  zip.end();
  await pipeline(zip.outputStream, createWriteStream(path));
  return path;
}

function npy(header: string, data: Uint8Array, version = 1): Buffer {
  const start = Buffer.from(`\x93NUMPY${String.fromCharCode(version)}\x00`, 'latin1');
  const length = Buffer.alloc(version === 1 ? 2 : 4);
  if (version === 1) length.writeUInt16LE(header.length);
  else length.writeUInt32LE(header.length);
  return Buffer.concat([start, length, Buffer.from(header, 'latin1'), data]);
}

async function using<T>(
  path: string,
  task: (data: Dataset) => Promise<T>,
  options: Partial<Pick<DatasetOptions, 'limits' | 'inputs'>> = {},
): Promise<T> {
  const directory = work();
  const data = await openDataset(path, { directory, limits: LIMITS, ...options });
  try {
    return await task(data);
  } finally {
    await data.close();
    expect(readdirSync(directory)).toEqual([]);
  }
}

/** Of the only array. */
async function valuesOf(data: Dataset, begin: number, end: number): Promise<Tensor['data']> {
  return [...(await data.batch(begin, end)).values()][0]?.data ?? new Uint8Array();
}

async function refused(path: string, limits = LIMITS, inputs?: readonly string[]): Promise<InputError> {
  const directory = work();
  const error: unknown = await openDataset(path, {
    directory,
    limits,
    what: 'calibration',
    ...(inputs === undefined ? {} : { inputs }),
  })
    .then(async (data) => {
      try {
        await data.verify();
      } finally {
        await data.close();
      }
    })
    .catch((e: unknown) => e);
  if (!(error instanceof InputError)) throw new Error(`an input error is expected, not ${String(error)}`);
  expect(readdirSync(directory)).toEqual([]);
  return error;
}

describe('a dataset', () => {
  it.each([false, true])('gives any range of its samples and its labels (compressed: %s)', async (compress) => {
    const x = pixels([20, 3, 4, 4]);
    await using(await npz({ x, y: labels(Array.from({ length: 20 }, (_, i) => i % 7)) }, compress), async (data) => {
      expect(data.columns).toMatchObject([{ input: 'x', array: 'x', type: 'uint8', shape: [20, 3, 4, 4] }]);
      expect([...(data.labels ?? [])].slice(0, 8)).toEqual([0, 1, 2, 3, 4, 5, 6, 0]);
      for (const [begin, end] of [
        [0, 1],
        [5, 9],
        [19, 20],
        [0, 20],
      ] as const) {
        const batch = await data.batch(begin, end);
        expect(batch.get('x')).toEqual({ dims: [end - begin, 3, 4, 4], data: x.data.subarray(begin * 48, end * 48) });
      }
      await data.verify();
    });
  });

  it.each<[string, Tensor['data'], number[]]>([
    ['float64', Float64Array.of(1.5, -2, 3, 0.25), [1.5, -2, 3, 0.25]],
    ['int8', Int8Array.of(-128, 127, 0, 5), [-128, 127, 0, 5]],
    ['uint16', Uint16Array.of(0, 65535, 3, 4), [0, 65535, 3, 4]],
    ['int32', Int32Array.of(-5, 2 ** 30, 3, 4), [-5, 2 ** 30, 3, 4]],
  ])('reads %s', async (_, data, expected) => {
    await using(await npz({ x: { dims: [2, 2], data } }), async (set) => {
      expect([...(await valuesOf(set, 0, 2))].map(Number)).toEqual(expected);
    });
  });

  it('reads half floats as float32', async () => {
    const data = new Uint8Array(Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x7bff).buffer);
    await using(
      await raw({ 'x.npy': npy("{'descr': '<f2', 'fortran_order': False, 'shape': (2, 2), }\n", data) }),
      async (set) => {
        expect([...(await valuesOf(set, 0, 2))]).toEqual([1, -2, Math.fround(2 ** -24), 65504]);
        expect(set.columns).toMatchObject([{ type: 'float32', storedType: 'float16' }]);
      },
    );
  });

  it.each([1, 2, 3])('reads .npy version %i', async (version) => {
    const header = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2), }\n";
    await using(await raw({ 'x.npy': npy(header, Uint8Array.of(1, 2, 3, 4), version) }), async (set) => {
      expect([...(await valuesOf(set, 0, 2))]).toEqual([1, 2, 3, 4]);
    });
  });

  it('has no labels when there is no y', async () => {
    await using(await npz({ x: pixels([2, 3]) }), async (data) => {
      expect(data.labels).toBeNull();
      await Promise.resolve();
    });
  });
});

/** x [n, ...shape] of distinct numbers, as NumPy writes it in the order and the byte order. */
function written(shape: number[], type: 'f4' | 'f2' | 'f8' | 'i2' | 'u1', { big = false, fortran = false }): Buffer {
  const count = shape.reduce((a, b) => a * b, 1);
  const size = Number(type.slice(1));
  const bytes = Buffer.alloc(count * size);
  const set = {
    f4: (v: number, at: number) => (big ? bytes.writeFloatBE(v, at) : bytes.writeFloatLE(v, at)),
    f8: (v: number, at: number) => (big ? bytes.writeDoubleBE(v, at) : bytes.writeDoubleLE(v, at)),
    // 1 + k / 1024 in half precision
    f2: (v: number, at: number) => (big ? bytes.writeUInt16BE(0x3c00 + v, at) : bytes.writeUInt16LE(0x3c00 + v, at)),
    i2: (v: number, at: number) => (big ? bytes.writeInt16BE(v, at) : bytes.writeInt16LE(v, at)),
    u1: (v: number, at: number) => bytes.writeUInt8(v, at),
  }[type];
  for (let i = 0; i < count; i++) {
    // The place of C index i in Fortran order
    let [rest, place, stride] = [i, 0, count];
    for (const extent of shape.toReversed()) {
      stride /= extent;
      place += (rest % extent) * stride;
      rest = Math.floor(rest / extent);
    }
    set(i, (fortran ? place : i) * size);
  }
  const descr = size === 1 ? `|${type}` : `${big ? '>' : '<'}${type}`;
  const order = fortran ? 'True' : 'False';
  return npy(`{'descr': '${descr}', 'fortran_order': ${order}, 'shape': (${shape.join(', ')}), }\n`, bytes);
}

const VALUE = {
  f4: (i: number) => i,
  f8: (i: number) => i,
  i2: (i: number) => i,
  u1: (i: number) => i,
  f2: (i: number) => 1 + i / 1024,
};

describe('samples in any form that NumPy writes', () => {
  const forms = (['f4', 'f2', 'f8', 'i2', 'u1'] as const).flatMap((type) =>
    [false, true].flatMap((big) => [false, true].map((fortran) => ({ type, big, fortran }))),
  );
  it.each(forms)('are read: $type, big-endian $big, Fortran order $fortran', async ({ type, big, fortran }) => {
    const x = written([5, 2, 3, 4], type, { big, fortran });
    await using(await raw({ 'x.npy': x }), async (set) => {
      expect(set.columns[0]?.shape).toEqual([5, 2, 3, 4]);
      const data = await valuesOf(set, 1, 4);
      expect([...data].map(Number)).toEqual(Array.from({ length: 72 }, (_, i) => VALUE[type](24 + i)));
    });
  });

  it.each([false, true])('are read from a plain .npy (Fortran order: %s)', async (fortran) => {
    await using(write(written([3, 2, 2], 'f4', { fortran })), async (set) => {
      expect([...(await valuesOf(set, 2, 3))]).toEqual([8, 9, 10, 11]);
      expect(set.labels).toBeNull();
    });
  });

  it.each(['arr_0', 'images'])('are the only array besides y, whatever its name: %s', async (name) => {
    await using(await npz({ [name]: pixels([4, 6]), y: labels([0, 1, 2, 3]) }), async (set) => {
      expect([set.count, [...(set.labels ?? [])]]).toEqual([4, [0, 1, 2, 3]]);
      await set.verify();
    });
  });

  it('are turned in parts when they are many: a Fortran array of 36 MB', async () => {
    const [rows, length] = [9, 1_000_000];
    const bytes = new Float32Array(rows * length);
    for (let row = 0; row < rows; row++) for (let j = 0; j < length; j++) bytes[j * rows + row] = row + j;
    const header = `{'descr': '<f4', 'fortran_order': True, 'shape': (${String(rows)}, ${String(length)}), }\n`;
    await using(write(npy(header, new Uint8Array(bytes.buffer))), async (set) => {
      const data = await valuesOf(set, 7, 8);
      expect([data[0], data[499_999], data[999_999]]).toEqual([7, 500_006, 1_000_006]);
    });
  });
});

describe('samples for several inputs', () => {
  const signal = pixels([4, 6]);
  const gain = { dims: [4], data: Float32Array.of(1, 2, 3, 4) };
  const inputs = ['signal', 'gain'];

  it.each([
    ['arrays of their names', { gain, other: pixels([9, 2]), signal, y: labels([0, 1, 2, 3]) }],
    ['arrays without names, in their order', { arr_0: signal, arr_1: gain, y: labels([0, 1, 2, 3]) }],
  ])('are %s', async (_, arrays) => {
    await using(
      await npz(arrays),
      async (set) => {
        const batch = await set.batch(1, 3);
        expect([...batch.keys()]).toEqual(inputs);
        expect(batch.get('signal')).toEqual({ dims: [2, 6], data: signal.data.subarray(6, 18) });
        expect(batch.get('gain')).toEqual({ dims: [2], data: Float32Array.of(2, 3) });
        const part = await set.subset(Uint32Array.of(0, 3)).batch(0, 2);
        expect(part.get('gain')).toEqual({ dims: [2], data: Float32Array.of(1, 4) });
        expect([...(set.labels ?? [])]).toEqual([0, 1, 2, 3]);
        expect(await set.verify()).toEqual({ constant: false });
      },
      { inputs },
    );
  });

  it('are no labels where an input is called y', async () => {
    await using(
      await npz({ x: signal, y: gain }),
      async (set) => {
        expect([set.labels, (await set.batch(3, 4)).get('y')?.data]).toEqual([null, Float32Array.of(4)]);
      },
      { inputs: ['x', 'y'] },
    );
  });

  it('for one of them may have its name beside others', async () => {
    await using(
      await npz({ x: gain, signal }),
      async (set) => {
        expect((await set.batch(0, 1)).get('signal')?.dims).toEqual([1, 6]);
      },
      { inputs: ['signal'] },
    );
  });

  it.each<[string, Record<string, Tensor>, string, RegExp]>([
    ['one is missing', { signal, x: gain }, '#calibration/gain', /inputs signal, gain; .* no array gain \(it has: /],
    ['one is longer', { signal, gain: pixels([5, 1]) }, '#calibration/gain', /gain has 5 samples, but signal has 4/],
    ['one has no samples', { signal, gain: pixels([]) }, '#calibration/gain', /gain has the shape \[\]/],
    [
      'one has a number that is none',
      { signal, gain: { dims: [4], data: Float32Array.of(1, NaN, 1, 1) } },
      '#calibration/gain/1',
      /gain has a NaN or infinity in sample 1/,
    ],
  ])('are refused where %s', async (_, arrays, pointer, message) => {
    const error = await refused(await npz(arrays), LIMITS, inputs);
    expect(error.message).toMatch(message);
    expect(error.faults.map((fault) => fault.pointer)).toEqual([pointer]);
  });

  it('cannot be one array', async () => {
    const error = await refused(write(written([3, 2], 'f4', {})), LIMITS, inputs);
    expect(error.message).toMatch(/inputs signal, gain: save an array for each with numpy.savez/);
  });
});

describe('labels in any form that NumPy users have', () => {
  const rows = (data: Tensor['data']) => ({ dims: [3, data.length / 3], data });
  it.each<[string, Tensor, number[]]>([
    ['a column', { dims: [3, 1], data: Int32Array.of(2, 0, 1) }, [2, 0, 1]],
    ['bytes', { dims: [3], data: Uint8Array.of(2, 0, 1) }, [2, 0, 1]],
    ['floats that are integers', { dims: [3], data: Float64Array.of(2, 0, 1) }, [2, 0, 1]],
    ['one-hot floats', rows(Float32Array.of(0, 0, 1, 1, 0, 0, 0, 1, 0)), [2, 0, 1]],
    ['one-hot integers', rows(BigInt64Array.of(0n, 1n, 1n, 0n, 0n, 1n)), [1, 0, 1]],
    ['-1 for a sample without a class', { dims: [3], data: Int8Array.of(2, -1, 1) }, [2, -1, 1]],
    ['a row of zeros for a sample without a class', rows(Float32Array.of(0, 1, 0, 0, 1, 0)), [1, -1, 0]],
  ])('are read: %s', async (_, y, expected) => {
    await using(await npz({ x: pixels([3, 4]), y }), async (set) => {
      expect([...(set.labels ?? [])]).toEqual(expected);
      await set.verify();
    });
  });
});

const plain = (descr: string, shape: string, size: number, order = 'False') =>
  raw({ 'x.npy': npy(`{'descr': ${descr}, 'fortran_order': ${order}, 'shape': ${shape}, }\n`, new Uint8Array(size)) });

const BAD: [string, () => Promise<string>, RegExp, string?][] = [
  ['an empty file', () => Promise.resolve(write(Buffer.alloc(0))), /empty/],
  ['half a .npy', () => Promise.resolve(write(encodeNpy(pixels([2, 2])).subarray(0, -1))), /takes 4 bytes, but has 3/],
  ['a text', () => Promise.resolve(write(Buffer.from('x,y\n1,2\n'))), /not an \.npz/],
  ['no x', () => npz({ a: pixels([2, 2]), b: pixels([2, 2]) }), /no array x \(it has: a\.npy, b\.npy\)/],
  ['nothing but labels', () => npz({ y: labels([1, 2]) }), /no array x \(it has: y\.npy\)/],
  [
    "labels of half floats, by NumPy's name",
    () =>
      raw({
        'x.npy': npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }\n", new Uint8Array(16)),
        'y.npy': npy("{'descr': '<f2', 'fortran_order': False, 'shape': (1, 2, 1), }\n", new Uint8Array(4)),
      }),
    /it is float16 of shape \[1, 2, 1\]/,
  ],
  ['objects', () => plain("'|O'", '(2, 2)', 32), /pickle/],
  ['a structured type', () => plain("[('a', '<f4')]", '(2, 2)', 16), /element type structured/],
  ['strings', () => plain("'<U3'", '(2, 2)', 48), /element type <U3/],
  ['complex numbers', () => plain("'<c8'", '(2, 2)', 32), /element type <c8/],
  ['Fortran order, cut short', () => plain("'<f4'", '(2, 3)', 16, 'True'), /takes 24 bytes, but has 16/],
  ['an expression as shape', () => plain("'<f4'", '(2, __import__("os").getpid())', 16), /bad \.npy header/],
  ['a negative dimension', () => plain("'<f4'", '(-2, 2)', 16), /bad \.npy header/],
  ['an absurd dimension', () => plain("'<f4'", '(99999999999, 99999999999)', 16), /takes .* bytes/],
  ['less data than the shape', () => plain("'<f4'", '(2, 3)', 16), /takes 24 bytes, but has 16/],
  ['more data than the shape', () => plain("'<f4'", '(2, 1)', 16), /takes 8 bytes, but has 16/],
  ['no samples', () => plain("'<f4'", '(0, 3)', 0), /no data/],
  ['one axis only', () => plain("'<f4'", '(4,)', 16), /at least one axis/],
  ['a zip entry that is no array', () => raw({ 'x.npy': Buffer.from('hello') }), /not a \.npy/],
  [
    'labels between two classes',
    () => npz({ x: pixels([2, 2]), y: { dims: [2], data: Float32Array.of(0, 1.5) } }),
    /one class index per sample.*of sample 1 it is 1\.5/,
  ],
  [
    'labels that are probabilities',
    () => npz({ x: pixels([2, 2]), y: { dims: [2, 2], data: Float32Array.of(0, 1, 0.5, 0.5) } }),
    /of sample 1 it has the value 0\.5 at class 0/,
  ],
  [
    'rows with two classes',
    () => npz({ x: pixels([2, 2]), y: { dims: [2, 3], data: Uint8Array.of(1, 0, 0, 0, 1, 1) } }),
    /of sample 1 it names the classes 1 and 2/,
  ],
  ['labels of pixels', () => npz({ x: pixels([2, 2]), y: pixels([2, 2, 2]) }), /it is uint8 of shape \[2, 2, 2\]/],
  ['too few labels', () => npz({ x: pixels([3, 2]), y: labels([0, 1]) }), /2 labels for 3 samples/],
  ['a negative label', () => npz({ x: pixels([2, 2]), y: labels([0, -2]) }), /label -2 of sample 1/],
];

function write(content: Buffer): string {
  const path = fresh('bad.npz');
  writeFileSync(path, content);
  return path;
}

describe('a dataset that cannot be used', () => {
  it.each(BAD)('is refused with the cause: %s', async (_, path, message) => {
    const error = await refused(await path());
    expect(error).toMatchObject({ code: 'invalid_dataset', message: expect.stringMatching(message) as string });
    expect(error.message).toMatch(/^calibration: /);
    expect(error.faults[0]?.pointer).toMatch(/^#calibration/);
  });

  it.each([Number.NaN, Infinity])('is refused when a sample has %s, naming it', async (value) => {
    const data = new Float32Array(60);
    data[47] = value;
    const error = await refused(await npz({ x: { dims: [10, 6], data } }));
    expect(error.message).toMatch(/sample 7, element 5/);
    expect(error.faults[0]?.pointer).toBe('#calibration/x/7');
  });

  it('is refused when a sample has a number that float32 does not hold, and says so', async () => {
    const values = new Float64Array(12).fill(1);
    values[8] = 1e300;
    const x = npy("{'descr': '<f8', 'fortran_order': False, 'shape': (4, 3), }\n", new Uint8Array(values.buffer));
    const error = await refused(await raw({ 'x.npy': x }));
    expect(error.message).toMatch(/a value beyond the range of float32, in sample 2, element 2/);
    expect(error.faults[0]?.pointer).toBe('#calibration/x/2');
  });

  it('tells whether all its values are the same', async () => {
    for (const [at, constant] of [
      [null, true],
      [11, false],
    ] as const) {
      const data = new Float32Array(12).fill(0.5);
      if (at !== null) data[at] = 0.25;
      await using(await npz({ x: { dims: [4, 3], data } }), async (set) => {
        expect(await set.verify()).toEqual({ constant });
      });
    }
  });

  it('is refused when it has more samples than allowed', async () => {
    expect(await refused(await npz({ x: pixels([1001, 2]) }))).toMatchObject({
      code: 'limit_exceeded',
      message: expect.stringContaining('MAX_CALIBRATION_SAMPLES') as string,
    });
  });

  it('is refused when it expands too much', async () => {
    const x = { dims: [100, 100_000], data: new Uint8Array(10_000_000) };
    expect(await refused(await npz({ x }, true))).toMatchObject({ code: 'limit_exceeded' });
  });

  it('is refused, and leaves nothing, when it is damaged anywhere', async () => {
    const source = readFileSync(
      await npz(
        {
          x: { dims: [8, 9], data: Float32Array.from({ length: 72 }, (_, i) => i) },
          y: labels([0, 1, 2, 3, 4, 5, 6, 7]),
        },
        true,
      ),
    );
    const path = fresh('fuzz.npz');
    const directory = work();
    const edit = fc.record({
      at: fc.integer({ min: 0, max: source.length - 1 }),
      value: fc.integer({ min: 0, max: 255 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(edit, { maxLength: 6 }),
        fc.option(fc.integer({ min: 0, max: source.length })),
        async (edits, cut) => {
          const bytes = Buffer.from(source);
          for (const { at, value } of edits) bytes[at] = value;
          writeFileSync(path, cut === null ? bytes : bytes.subarray(0, cut));
          try {
            const data = await openDataset(path, { directory, limits: LIMITS });
            await data.verify().finally(() => data.close());
          } catch (error) {
            if (!(error instanceof InputError)) throw error;
          }
          expect(readdirSync(directory)).toEqual([]);
        },
      ),
      { seed: 7, numRuns: 500, interruptAfterTimeLimit: 8000 },
    );
  });
});

describe('labels', () => {
  it('have to be classes of the model', () => {
    checkLabels(Int32Array.of(0, 9, 3), 10);
    expect(() => {
      checkLabels(Int32Array.of(0, 3, 10), 10);
    }).toThrow(/label 10 of sample 2 is out of range: the model has 10 classes/);
  });

  it('are left out altogether when no sample has one', () => {
    checkLabels(Int32Array.of(-1, 3, -1), 10);
    expect(() => {
      checkLabels(Int32Array.of(-1, -1), 10);
    }).toThrow(/no sample has a class: leave y out/);
  });
});
