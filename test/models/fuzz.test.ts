import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InputError } from '../../src/errors/index.js';
import { listLayers, loadModel, prepare } from '../../src/models/index.js';
import { encodeModel } from '../../src/models/ir/codec.js';
import { LIMITS, batchOf, proto, scratch } from './graphs.js';
import { TOPOLOGIES } from './topologies.js';

const SEEDS = Object.values(TOPOLOGIES).map((sketch) => ({ sketch, bytes: Buffer.from(encodeModel(proto(sketch))) }));

const mutation = fc.record({
  seed: fc.integer({ min: 0, max: SEEDS.length - 1 }),
  edits: fc.array(
    fc.record({ at: fc.double({ min: 0, max: 0.999, noNaN: true }), value: fc.integer({ min: 0, max: 255 }) }),
    { maxLength: 3 },
  ),
  cut: fc.oneof(
    { arbitrary: fc.constant(null), weight: 9 },
    { arbitrary: fc.double({ min: 0, max: 1, noNaN: true }), weight: 1 },
  ),
});

describe('a damaged model', () => {
  it('is either usable or refused as bad input, never a crash', async () => {
    const directory = scratch();
    const path = join(directory, 'model.onnx');
    let usable = 0;
    await fc.assert(
      fc.asyncProperty(mutation, async ({ seed, edits, cut }) => {
        const source = SEEDS[seed];
        if (source === undefined) return;
        let bytes = Buffer.from(source.bytes);
        // Weights are most of the file; edits in the graph around them are the interesting ones, so aim at both ends.
        for (const { at, value } of edits)
          bytes[Math.floor((at < 0.5 ? at ** 3 : 1 - (1 - at) ** 3) * bytes.length)] = value;
        if (cut !== null) bytes = bytes.subarray(0, Math.floor(cut * bytes.length));
        writeFileSync(path, bytes);
        try {
          const model = prepare(await loadModel(path, { directory, limits: LIMITS }));
          await listLayers(model, batchOf(source.sketch.input, 2), { threads: 1 });
          usable += 1;
        } catch (error) {
          if (!(error instanceof InputError)) throw error;
          expect(error.message.length).toBeGreaterThan(10);
        }
        expect(readdirSync(directory)).toEqual(['model.onnx']);
      }),
      { seed: 20_26, numRuns: 400, interruptAfterTimeLimit: 10_000 },
    );
    // Some damage has to get as far as the runtime, or this test shows little.
    expect(usable).toBeGreaterThan(20);
  });
});
