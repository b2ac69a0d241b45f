import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { writeNpz } from '../../src/datasets/index.js';
import { loadModel, weightBytes, type Model, type WeightCodingName } from '../../src/models/index.js';
import { DataType } from '../../src/models/ir/messages.js';
import { compressLocally } from '../../src/pipeline/local.js';
import { halves } from '../../src/pipeline/network/held-out.js';
import { together } from '../../src/pipeline/network/quality.js';
import { firstThatHolds } from '../../src/pipeline/steps/assemble/first-that-holds.js';
import { openCodings, smallerCoded, stepsToCode } from '../../src/pipeline/steps/assemble/smaller-coded.js';
import { noise, scratch, writeProto } from '../models/graphs.js';
import {
  CLASSES,
  fullRankNetwork,
  LIMITS,
  localOptions,
  plantedNetwork,
  SIDE,
  writeFiles,
  type Files,
} from './network.js';

describe('the first step that holds', () => {
  const find = async (steps: number, from: number) => {
    const tried: number[] = [];
    const found = await firstThatHolds(steps, (step) => {
      tried.push(step);
      return Promise.resolve(step >= from);
    });
    return { found, tried };
  };

  it('is the very first or the second where one of them does, and is bisected for else', async () => {
    expect(await find(8, 0)).toEqual({ found: 0, tried: [0] });
    expect(await find(8, 1)).toEqual({ found: 1, tried: [0, 1] });
    for (let from = 2; from < 8; from++) {
      const { found, tried } = await find(8, from);
      expect(found).toBe(from);
      expect(new Set(tried).size).toBe(tried.length);
      expect(tried.length).toBeLessThanOrEqual(5);
    }
    expect((await find(2, 1)).found).toBe(1);
    expect((await find(2, 2)).found).toBeNull();
    expect((await find(0, 0)).found).toBeNull();
    expect((await find(8, 9)).found).toBeNull();
    expect((await find(1, 1)).found).toBeNull();
  });
});

describe('a smaller file of a network that holds', () => {
  const network = (elements: number, dataType: number = DataType.FLOAT): Model =>
    ({ graph: { initializer: [{ dims: [elements], dataType }] } }) as unknown as Model;
  const unseen = { accuracy: null, fidelity: { top1_agreement: null, relative_error: 0, samples: 1 } };
  const PLAIN = [100, 200, 300, 1000];

  /** @param holds of coded weights of so many bytes */
  const find = async (holds: (bytes: number, coding: WeightCodingName) => boolean, sizes = PLAIN) => {
    const tried: number[] = [];
    const names = new Map<Model, WeightCodingName>();
    const of = { holding: network(sizes[0] ?? 0), last: network(sizes.at(-1) ?? 0) };
    const found = await smallerCoded(['static_int8', 'int8'], {
      steps: stepsToCode({ constraints: {} }, { steps: sizes.length, holding: 0, sizes: of }),
      attempt: (step) => {
        tried.push(step);
        return Promise.resolve(network(sizes[step] ?? 0));
      },
      code: (compressed, coding) => {
        const coded = network(weightBytes(compressed) / 4, DataType.INT8);
        names.set(coded, coding);
        return Promise.resolve(coded);
      },
      judge: (model) => {
        const coding = names.get(model);
        if (coding === undefined) throw new RangeError('a network that was not coded');
        return Promise.resolve({ holds: holds(weightBytes(model), coding), unseen });
      },
    });
    return { step: found?.step, coding: found?.coding, tried: [...new Set(tried)] };
  };

  it('is that network with coded weights, in the first coding that holds', async () => {
    expect(await find(() => true)).toEqual({ step: 0, coding: 'static_int8', tried: [0] });
    expect(await find((_, coding) => coding === 'int8')).toEqual({ step: 0, coding: 'int8', tried: [0] });
  });

  it('is the next one, or the last, where coded it is smaller than the first without', async () => {
    expect(await find((bytes) => bytes > 100)).toMatchObject({ step: 1, coding: 'static_int8', tried: [0, 1] });
    // Of the network as it came, coded, there is more than of the first as it is: it is not even built.
    expect(await find((bytes) => bytes > 500)).toEqual({ step: undefined, coding: undefined, tried: [0, 1] });
    expect(await find((bytes) => bytes > 250, [100, 200, 250, 300])).toMatchObject({ step: 3, tried: [0, 1, 3] });
    expect(await find(() => false)).toMatchObject({ step: undefined });
  });

  it('is not looked for among less compressed ones where a ratio was asked for beside the outputs', () => {
    const sizes = { holding: network(100), last: network(300) };
    const steps = (constraints: Record<string, number>, count = 4, holding = 0) =>
      stepsToCode({ constraints }, { steps: count, holding, sizes });
    expect(steps({})).toEqual([0, 1, 3]);
    expect(steps({ min_agreement: 0.9, min_bytes_ratio: 2 })).toEqual([0, 1, 3]);
    for (const name of ['min_mac_ratio', 'min_parameter_ratio', 'min_speedup'])
      expect(steps({ [name]: 1.5 })).toEqual([0]);
    expect([steps({}, 4, 3), steps({}, 4, 2), steps({}, 1)]).toEqual([[3], [2, 3], [0]]);
  });

  it('counts the bytes of weights in the type that the client sent', async () => {
    const directory = scratch();
    const model = await loadModel(writeProto(plantedNetwork(), directory), { directory, limits: LIMITS });
    const types = { inputs: new Map<string, number>(), outputs: new Map<string, number>(), weights: DataType.FLOAT16 };
    const share = weightBytes({ ...model, types }) / weightBytes(model);
    // Small tensors stay as they are.
    expect(share).toBeGreaterThan(0.5);
    expect(share).toBeLessThan(0.51);
  });

  it('takes the place of no coding that the client names', () => {
    const codings = (coding: string, open: string | undefined = 'static_int8', format = 'onnx') =>
      openCodings({ method: { weights: { coding, for_quality: open } } } as never, { format } as unknown as Model);
    expect(codings('float32')).toEqual(['static_int8', 'int8']);
    expect(codings('codebook')).toEqual([]);
    expect(
      openCodings({ method: { weights: { coding: 'float32' } } } as never, { format: 'onnx' } as unknown as Model),
    ).toEqual([]);
    expect(codings('float32', 'static_int8', 'tfjs_graph')).toEqual(['uint8']);
  });
});

describe('the halves of the evaluation data', () => {
  it('have no sample in common, each runs of neighbours out of every part; too few are not shared', () => {
    for (const count of [20, 64, 1999]) {
      const { search, unseen } = halves(count);
      expect([...search, ...unseen].sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i));
      expect(Math.abs(search.length - unseen.length)).toBeLessThan(0.2 * count);
      for (const half of [search, unseen]) {
        expect(half[0]).toBeLessThan(count / 3);
        expect(half.at(-1)).toBeGreaterThan((2 * count) / 3);
      }
    }
    expect(halves(5).search).toEqual(halves(5).unseen);
  });

  it('come together as all of it', () => {
    const of = (samples: number, before: number, after: number, error: number) => ({
      accuracy: { before, after, drop: before - after, samples },
      fidelity: { top1_agreement: after, relative_error: error, samples },
    });
    expect(together(of(10, 0.8, 0.6, 0.1), of(30, 0.8, 0.8, 0.3))).toMatchObject({
      accuracy: { before: 0.8, after: 0.75, samples: 40 },
      fidelity: { top1_agreement: 0.75, relative_error: expect.closeTo(0.25, 9), samples: 40 },
    });
  });
});

describe('a plan that does not keep on new samples what it kept in the search', () => {
  let files: Files;
  const COUNT = 64;
  beforeAll(async () => {
    const directory = scratch();
    const full = fullRankNetwork();
    const planted = await writeFiles(directory, full);
    // The samples of the search are like those that layers are fitted on; the others are bright in one channel and dark
    // in the rest.
    const size = 3 * SIDE * SIDE;
    const x = noise(COUNT * size, 7).map((v) => 2 * v);
    for (const i of halves(COUNT).unseen)
      for (let at = 0; at < size; at++) x[i * size + at] = at < SIDE * SIDE ? 3 * Math.abs(x[i * size + at] ?? 0) : 0;
    const y = BigInt64Array.from({ length: COUNT }, (_, i) => BigInt(i % CLASSES));
    const evaluation = join(directory, 'alike.npz');
    await writeNpz(evaluation, { x: { dims: [COUNT, 3, SIDE, SIDE], data: x }, y: { dims: [COUNT], data: y } });
    files = { ...planted, model: writeProto(full, directory), evaluation };
  });
  const method = { samples: 500, max_iterations: 4, distillation_passes: 0 };
  const benchmark = { batch_sizes: [1] };

  const compress = (target: Record<string, number>, evaluation: string | null = files.evaluation) =>
    compressLocally({ ...localOptions(files, scratch(), { target, method, benchmark }), evaluation });

  it('gives way to a less compressed one that does, and says on what', async () => {
    const smallest = await compress({ max_relative_error: 10 });
    const lost = smallest.metrics.unseen?.fidelity.relative_error ?? NaN;
    expect(lost).toBeGreaterThan(smallest.metrics.fidelity.relative_error);
    const asked = 0.7 * lost;
    const { metrics, verdict, layers } = await compress({ max_relative_error: asked });
    expect(verdict).toMatchObject({ passed: true, checks: [{ name: 'target.max_relative_error', required: asked }] });
    expect(metrics.unseen?.fidelity.samples).toBe(32);
    expect(metrics.unseen?.fidelity.relative_error).toBeLessThanOrEqual(asked);
    expect(metrics.fidelity.relative_error).toBeLessThanOrEqual(asked);
    expect(layers.reduce((all, row) => all + row.parameters.after, 0)).toBe(metrics.parameters.after);
    expect(metrics.parameters.ratio).toBeLessThan(smallest.metrics.parameters.ratio);
  });

  it('is held to the calibration samples that are held out where there is no evaluation data', async () => {
    const { metrics, verdict } = await compress({ max_relative_error: 0.7 }, null);
    expect(metrics.measured_on).toMatchObject({ data: 'held_out' });
    expect(metrics.unseen?.fidelity).toMatchObject({ samples: metrics.measured_on?.samples });
    expect(metrics.fidelity.relative_error).toBeLessThanOrEqual(0.7);
    expect(metrics.parameters.ratio).toBeGreaterThan(1);
    expect(verdict.passed).toBe(true);
  });

  describe('and nothing is said of how weights are kept', () => {
    const withWeights = (target: Record<string, number>, weights?: { coding: string }) =>
      compressLocally({
        ...localOptions(files, scratch(), { target, method: { ...method, ...(weights && { weights }) }, benchmark }),
        evaluation: files.evaluation,
      });

    it('codes them where that keeps what was asked, and not where it is said how', async () => {
      const [open, plain] = [
        await withWeights({ max_relative_error: 0.9 }),
        await withWeights({ max_relative_error: 0.9 }, { coding: 'float32' }),
      ];
      expect(open.metrics.coding?.coding).toMatch(/^(static_)?int8$/);
      expect(open.metrics.coding?.bytes.ratio).toBeGreaterThan(1);
      expect(open.verdict.passed).toBe(true);
      expect(open.metrics.unseen?.fidelity.relative_error).toBeLessThanOrEqual(0.9);
      expect(open.metrics.fidelity.relative_error).toBeLessThanOrEqual(0.9);
      expect(plain.metrics).not.toHaveProperty('coding');
      expect(open.metrics.bytes.after).toBeLessThan(plain.metrics.bytes.after);
    });

    it('leaves them where coded ones move the outputs further than that', async () => {
      const { metrics, verdict } = await withWeights({ max_relative_error: 1e-4 });
      expect(metrics).not.toHaveProperty('coding');
      expect(verdict.passed).toBe(true);
    });
  });
});
