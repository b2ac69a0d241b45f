import { describe, expect, it } from 'vitest';
import { everySeconds } from '../../../src/cli/commands/compress.js';
import { etaSeconds, jobFraction } from '../../../src/jobs/progress.js';
import { PHASES } from '../../../src/jobs/tasks.js';
import type { Target } from '../../../src/jobs/spec.js';
import { resolveSpec } from '../../../src/jobs/resolve-spec.js';
import {
  distillationAllowed,
  expectedInspection,
  expectedSeconds,
  type Expected,
} from '../../../src/pipeline/cost/expected.js';

const source = { upload: 'x' };
const spec = (target: Record<string, number>, effort: string | number = 'quick') =>
  resolveSpec({ model: source, calibration: source, target, effort });

/** A chain of equal 3x3 convolutions of `channels`, on maps of `positions`. */
function job(depth: number, channels: number, positions: number): Expected {
  const d = 9 * channels;
  const layer = { m: channels, d, channels, positions, macs: channels * d * positions, blocked: null };
  return {
    layers: Array.from({ length: depth }, () => layer),
    images: 160,
    samples: 5000,
    probes: { images: 16, layerErrors: [0.2, 0.02], tapErrors: [0.06] },
    spec: spec({ parameter_ratio: 2 }),
    measured: 32,
    format: 'onnx',
  };
}

function total(expected: Expected): number {
  const seconds = expectedSeconds(expected);
  return PHASES.reduce((sum, phase) => sum + seconds[phase], 0);
}

describe('what a job is expected to take', () => {
  it('grows with depth, width and maps, and is the inspection above all in a deep network', () => {
    expect(total(job(20, 64, 3136))).toBeGreaterThan(total(job(10, 64, 3136)));
    expect(total(job(10, 128, 3136))).toBeGreaterThan(total(job(10, 64, 3136)));
    expect(total(job(10, 64, 12544))).toBeGreaterThan(total(job(10, 64, 3136)));
    const { inspect, layers } = expectedSeconds(job(54, 128, 784));
    expect(inspect).toBeGreaterThan(layers);
  });

  it('counts every target of a job, and the trials of a plan on the network itself', () => {
    const one = job(10, 64, 784);
    const two = { ...one, spec: { ...one.spec, targets: [{ parameter_ratio: 2 }, { parameter_ratio: 4 }] } };
    expect(expectedSeconds(two).layers).toBeCloseTo(2 * expectedSeconds(one).layers, 10);
    expect(expectedSeconds(two).inspect).toBe(expectedSeconds(one).inspect);
    const tried = expectedSeconds({ ...one, spec: spec({ speedup: 2 }) });
    expect(tried.plan).toBeGreaterThan(2 * expectedSeconds(one).plan);
  });

  it('counts what runs in TensorFlow.js: for models that come or go in its formats, at the batch sizes that are timed there', () => {
    const onnx = job(10, 64, 784);
    const sent: Expected = { ...onnx, format: 'tfjs_layers' };
    const { inspect, layers, plan, evaluate } = expectedSeconds(onnx);
    const beside = expectedSeconds(sent);
    expect(beside).toMatchObject({ inspect, layers, plan });
    // The original and one compressed network, timed for 3.5 seconds each, and 32 samples of both.
    expect(beside.evaluate - evaluate).toBeGreaterThan(7);
    expect(expectedSeconds({ ...onnx, spec: { ...onnx.spec, output: { format: 'tfjs_graph' } } })).toEqual(beside);
    expect(expectedSeconds({ ...sent, spec: { ...onnx.spec, output: { format: 'onnx' } } })).toEqual(
      expectedSeconds(onnx),
    );
    const slower = expectedSeconds({ ...job(10, 256, 3136), format: 'tfjs_layers' });
    expect(slower.evaluate - expectedSeconds(job(10, 256, 3136)).evaluate).toBeGreaterThan(60);
    const named = { ...onnx.spec, benchmark: { ...onnx.spec.benchmark, runtime: 'tensorflowjs' as const } };
    const more = expectedSeconds({ ...sent, spec: named });
    expect(onnx.spec.benchmark.batch_sizes.length).toBeGreaterThan(1);
    expect(more.evaluate).toBeGreaterThan(beside.evaluate + 7 * (onnx.spec.benchmark.batch_sizes.length - 1) - 1e-9);
    // Its plan of a size is not checked for speed, that of a speed is made with it.
    expect(more.plan).toBeLessThan(beside.plan);
    const quick = spec({ speedup: 2 });
    const timed = { ...quick, benchmark: named.benchmark };
    expect(expectedSeconds({ ...sent, spec: timed }).plan).toBeGreaterThan(
      expectedSeconds({ ...sent, spec: quick }).plan,
    );
  });

  it('counts what the effort affords, and gives an effort in seconds what the rest leaves of it', () => {
    const small = { ...job(6, 32, 256), images: 1024 };
    const of = (effort: string | number, other: Partial<Expected> = {}) =>
      expectedSeconds({ ...small, spec: spec({ parameter_ratio: 2 }, effort), ...other });
    expect(of('quick').distillation).toBe(0);
    expect(of('standard').distillation).toBeGreaterThan(0);
    expect(of('thorough').distillation).toBeCloseTo(2.5 * of('standard').distillation, 6);
    expect(of('standard').assemble).toBeCloseTo(of('quick').assemble + of('standard').distillation, 6);
    const rest = total({ ...small, spec: spec({ parameter_ratio: 2 }) });
    const asked = Math.ceil(rest + 0.5 * of('standard').distillation);
    const bounded = { ...small, spec: spec({ parameter_ratio: 2 }, asked) };
    // Passes are whole.
    expect(total(bounded)).toBeLessThanOrEqual(asked);
    expect(total(bounded)).toBeGreaterThan(0.95 * asked);
    expect(of(Math.floor(rest)).distillation).toBe(0);
    expect(of('standard', { images: 60 }).distillation).toBe(0);
  });

  it('gives each target of a named effort what it would have alone, and divides seconds among them', () => {
    const small = { ...job(6, 32, 256), images: 1024 };
    const of = (effort: string | number, targets?: Target[]) => {
      const one = spec({ parameter_ratio: 2 }, effort);
      return distillationAllowed({ ...small, spec: targets === undefined ? one : { ...one, targets } });
    };
    const both = [{ parameter_ratio: 2 }, { parameter_ratio: 4 }];
    const [alone = 0] = of('standard');
    expect(of('standard', both)).toEqual([alone, alone]);
    const [first = 0, second = 0] = of(300, both);
    expect([first, second]).toEqual([first, first]);
    expect(2 * first).toBeLessThan(of(300)[0] ?? 0);
  });

  it('goes by the pace of the machine where there is work to be done, and affords the same everywhere', () => {
    const usual = { ...job(10, 64, 784), images: 1024, spec: spec({ parameter_ratio: 2 }, 'standard') };
    const [fast, slow] = [expectedSeconds(usual), expectedSeconds({ ...usual, pace: 3 })];
    for (const phase of ['inspect', 'layers', 'distillation'] as const)
      expect(slow[phase], phase).toBeCloseTo(3 * fast[phase], 6);
    // Speed is measured for some seconds on every machine.
    expect(slow.evaluate).toBeGreaterThan(fast.evaluate);
    expect(slow.evaluate).toBeLessThan(2 * fast.evaluate);
    expect(distillationAllowed({ ...usual, pace: 3 })).toEqual(distillationAllowed(usual));
  });

  it('counts networks that are built again, coded and changed together for what was asked of the outputs', () => {
    const one = { ...job(10, 64, 784), images: 1024 };
    const of = (target: Record<string, number>) => expectedSeconds({ ...one, spec: spec(target) });
    const size = of({ parameter_ratio: 2 });
    const [near, far] = [of({ max_relative_error: 0.05 }), of({ max_relative_error: 0.3 })];
    expect(near.assemble).toBeGreaterThan(1.5 * size.assemble);
    expect([near.distillation, size.distillation]).toEqual([0, 0]);
    expect(far.distillation).toBeGreaterThan(5);
    // The coded network is measured beside the one that it was.
    expect(near.evaluate).toBeGreaterThan(1.2 * size.evaluate);
    // An exponential in the activation is searched for.
    const smooth = { ...one, layers: one.layers.map((layer) => ({ ...layer, activation: { kind: 'silu' as const } })) };
    expect(expectedSeconds(smooth).layers).toBeGreaterThan(1.5 * expectedSeconds(one).layers);
  });

  it('gives a layer with more behind it more of the inspection, and a blocked one nothing', () => {
    const expected = job(10, 64, 3136);
    const [first = 0, ...others] = expectedInspection(expected).layers;
    expect(first).toBeGreaterThan(others.at(-1) ?? Infinity);
    const blocked = expected.layers.map((layer, i) => ({ ...layer, blocked: i === 0 ? 'excluded' : null }));
    expect(expectedInspection({ ...expected, layers: blocked }).layers[0]).toBe(0);
  });

  it('makes an estimate that is exact where phases take what is expected of them', () => {
    const shares = { inspect: 60, plan: 1, layers: 20, assemble: 9, evaluate: 10 };
    const fraction = jobFraction({ phase: 'inspect', done: 0.5, total: 1, shares });
    expect(fraction).toBeCloseTo(0.3, 12);
    expect(etaSeconds(fraction, 30)).toBeCloseTo(70, 10);
    expect(jobFraction({ phase: 'evaluate', done: 1, total: 1, shares })).toBe(1);
  });

  it('is told on the command line at most every five seconds', () => {
    let now = 0;
    const lines: string[] = [];
    const tell = everySeconds(
      (line) => lines.push(line),
      () => now,
    );
    for (; now <= 12_000; now += 500) tell(now / 24_000, 24 - now / 1000);
    tell(0.5, null);
    expect(lines).toEqual(['21 %, about 19 s left', '42 %, about 14 s left']);
  });
});
