import { describe, expect, it } from 'vitest';
import { artifactContentType } from '../../src/jobs/artifacts.js';
import { backoffSeconds } from '../../src/jobs/backoff.js';
import { InputError } from '../../src/errors/index.js';
import { nextTasks } from '../../src/jobs/next-tasks.js';
import { atTarget, choicesOf, targetsOf } from '../../src/jobs/points.js';
import { etaSeconds, jobFraction, usualShares } from '../../src/jobs/progress.js';
import { resolveSpec } from '../../src/jobs/resolve-spec.js';
import type { Target } from '../../src/jobs/spec.js';
import { PHASES, type PlanResult, type TaskKind } from '../../src/jobs/tasks.js';

const planOf = (...choices: Record<number, number>[]): PlanResult => ({
  points: choices.map((ranks, i) => ({
    point: i + 1,
    target: { parameter_ratio: i + 2 },
    allocations: Object.entries(ranks).map(([index, rank]) => ({
      index: Number(index),
      shape: 'channel' as const,
      rank,
      inner: 0,
      groups: 0,
    })),
    layers: [],
    error: null,
  })),
});
const unreachable = {
  code: 'unreachable_target' as const,
  detail: '',
  origin: 'input' as const,
  layer: null,
  faults: [],
};

describe('the tasks that follow', () => {
  const task = (kind: TaskKind, layer: number | null = null, point: number | null = null) => ({ kind, layer, point });

  it('go from step to step, one layer task for each layer to solve', () => {
    const plan = planOf({ 3: 8, 5: 8 });
    expect(nextTasks({ kind: 'inspect' })).toEqual([task('plan')]);
    expect(nextTasks({ kind: 'plan', plan, open: 0 })).toEqual([task('layer', 3), task('layer', 5)]);
    expect(nextTasks({ kind: 'assemble', open: 0 })).toEqual([task('evaluate')]);
    expect(nextTasks({ kind: 'evaluate' })).toEqual([]);
  });

  it('go straight to assemble when there is no layer to solve, else only after the last one', () => {
    const assemble = [task('assemble', null, 1)];
    expect(nextTasks({ kind: 'plan', plan: planOf({}), open: 0 })).toEqual(assemble);
    expect(nextTasks({ kind: 'layer', plan: planOf({ 3: 8 }), open: 1 })).toEqual([]);
    expect(nextTasks({ kind: 'layer', plan: planOf({ 3: 8 }), open: 0 })).toEqual(assemble);
  });

  it('solve a layer in one task for all points, assemble every point that can be reached, and wait for all of them', () => {
    const plan = planOf({ 1: 8, 2: 8 }, { 2: 16, 0: 4 }, {});
    expect(nextTasks({ kind: 'plan', plan, open: 0 })).toEqual([0, 1, 2].map((layer) => task('layer', layer)));
    const last = plan.points[2];
    if (last !== undefined) last.error = unreachable;
    expect(nextTasks({ kind: 'layer', plan, open: 0 })).toEqual([1, 2].map((point) => task('assemble', null, point)));
    expect(nextTasks({ kind: 'assemble', open: 1 })).toEqual([]);
  });
});

describe('the choices of a layer', () => {
  it('are solved once for all points that made the same one', () => {
    const plan = planOf({ 0: 8 }, { 0: 16 }, { 0: 8, 1: 4 }, { 0: 24 });
    const last = plan.points[3];
    if (last !== undefined) last.error = unreachable;
    expect(choicesOf(plan, 0).map(({ allocation, points }) => [allocation.rank, points])).toEqual([
      [8, [1, 3]],
      [16, [2]],
    ]);
    expect(choicesOf(plan, 1).map(({ points }) => points)).toEqual([[3]]);
    expect(choicesOf(plan, 7)).toEqual([]);
  });

  it('differ when anything of the allocation does', () => {
    const plan = planOf({ 0: 8 }, { 0: 8 });
    const allocation = plan.points[1]?.allocations[0];
    if (allocation !== undefined) allocation.groups = 4;
    expect(choicesOf(plan, 0)).toHaveLength(2);
  });
});

describe('a specification with several targets', () => {
  const source = { upload: 'upl_x' };
  const given = (change: Record<string, unknown>) => ({ model: source, calibration: source, ...change });
  const targets = [{ parameter_ratio: 4 }, { speedup: 2 }, { max_accuracy_drop: 0.01 }];
  const faults = (change: Record<string, unknown>) => {
    try {
      resolveSpec(given(change));
    } catch (error) {
      if (error instanceof InputError) return error.faults.map(({ pointer }) => pointer);
    }
    return null;
  };

  it('has the first of them as its target, and may be sent again as it was resolved', () => {
    const spec = resolveSpec(given({ targets }));
    expect(spec).toMatchObject({ targets, target: { parameter_ratio: 4 } });
    expect(resolveSpec(spec)).toEqual(spec);
    expect(targetsOf(spec)).toEqual(targets);
  });

  it('leaves the way to keep weights to the plan where a speed is asked for, and no way', () => {
    const otherOf = (change: Record<string, unknown>) => resolveSpec(given(change)).method.weights.for_speedup;
    expect(otherOf({ target: { speedup: 2 } })).toBe('static_int8');
    expect(otherOf({ targets })).toBe('static_int8');
    expect(otherOf({ target: { speedup: 2 }, method: { weights: { integer_layers: 'all' } } })).toBe('static_int8');
    expect(otherOf({ target: { speedup: 2 }, method: { weights: { coding: 'float32' } } })).toBeUndefined();
    expect(otherOf({ target: { mac_ratio: 2 } })).toBeUndefined();
    expect(resolveSpec(given({ target: { speedup: 2 } })).method.weights.coding).toBe('float32');
    expect(faults({ target: { speedup: 2 }, method: 7 })).toEqual(['/method']);
    expect(faults({ target: { speedup: 2 }, method: { weights: [] } })).toEqual(['/method/weights']);
  });

  it('leaves it to the finished network where something is asked of the outputs', () => {
    const weightsOf = (change: Record<string, unknown>) => resolveSpec(given(change)).method.weights;
    for (const target of [{ max_accuracy_drop: 0.01 }, { min_agreement: 0.9 }, { max_relative_error: 0.1 }])
      expect(weightsOf({ target })).toMatchObject({ coding: 'float32', for_quality: 'static_int8' });
    const target = { min_agreement: 0.9 };
    expect(weightsOf({ target, method: { weights: { coding: 'float32' } } }).for_quality).toBeUndefined();
    // A constraint chooses nothing.
    expect(weightsOf({ target: { mac_ratio: 2 }, constraints: target }).for_quality).toBeUndefined();
  });

  it('leaves it to the plan where bytes are asked for, too', () => {
    const weightsOf = (change: Record<string, unknown>) => resolveSpec(given(change)).method.weights;
    expect(weightsOf({ target: { bytes_ratio: 8 } })).toMatchObject({ coding: 'float32', for_bytes: 'codebook' });
    expect(weightsOf({ target: { bytes_ratio: 8 } }).for_speedup).toBeUndefined();
    const both = weightsOf({ targets: [{ speedup: 2 }, { bytes_ratio: 8 }] });
    expect(both).toMatchObject({ for_speedup: 'static_int8', for_bytes: 'codebook' });
    expect(
      weightsOf({ target: { bytes_ratio: 8 }, method: { weights: { coding: 'int8' } } }).for_bytes,
    ).toBeUndefined();
    expect(faults({ target: { bytes_ratio: 0.5 } })).not.toEqual([]);
    const target = { bytes_ratio: 8 };
    for (const bits of [2, 3, 4, 8])
      expect(weightsOf({ target, method: { weights: { coding: 'codebook', bits } } }).bits).toBe(bits);
    expect(faults({ target, method: { weights: { coding: 'codebook', bits: 5 } } })).not.toEqual([]);
  });

  it('is the same as ever with one target', () => {
    const spec = resolveSpec(given({ target: { mac_ratio: 3 } }));
    expect(spec).not.toHaveProperty('targets');
    expect(targetsOf(spec)).toEqual([{ mac_ratio: 3 }]);
  });

  it.each([
    ['neither', {}, ['/target']],
    ['both, and different', { target: { speedup: 2 }, targets }, ['/target']],
    ['none', { targets: [] }, ['/targets']],
    ['too many', { targets: Array.from({ length: 9 }, (_, i) => ({ parameter_ratio: i + 2 })) }, ['/targets']],
    ['the same twice', { targets: [{ speedup: 2 }, { speedup: 2 }] }, ['/targets']],
    ['no list', { targets: { speedup: 2 } }, ['/targets']],
    ['a bad first', { targets: [{ speedup: 'fast' }, { speedup: 2 }] }, ['/targets/0/speedup']],
    ['an unknown one', { targets: [{ speedup: 2 }, { size: 2 }] }, ['/targets/1']],
  ])('is refused with %s, at the right place', (_, change, pointers) => {
    expect(faults(change)).toEqual(pointers);
  });

  it('gets the faults of a target where the target stands', () => {
    const error = new InputError('unreachable_target', 'no', {
      faults: [{ pointer: '/target/speedup', detail: 'at most 2' }],
    });
    const at = (spec: { targets?: Target[] }) => {
      const moved = atTarget(spec, 2, error);
      return moved instanceof InputError ? moved.faults : null;
    };
    expect(at({ targets })).toEqual([{ pointer: '/targets/1/speedup', detail: 'at most 2' }]);
    expect(at({})).toEqual([{ pointer: '/target/speedup', detail: 'at most 2' }]);
  });
});

describe('progress', () => {
  it.each([1, 2, 8])('grows from phase to phase up to the whole, with %i points', (n) => {
    const points = PHASES.flatMap((phase) =>
      [0, 0.5, 1].map((done) => jobFraction({ phase, done, total: 1, shares: usualShares(n) })),
    );
    expect(points).toEqual([...points].sort((a, b) => a - b));
    expect(points[0]).toBe(0);
    expect(points.at(-1)).toBeCloseTo(1, 12);
    const shares = usualShares(n, 'quick');
    expect(jobFraction({ phase: 'layers', done: 0, total: 0, shares })).toBe(
      jobFraction({ phase: 'layers', done: 0, total: 5, shares }),
    );
  });

  it('estimates the rest from the running time, and says nothing too early or at the end', () => {
    expect(etaSeconds(0.25, 30)).toBeCloseTo(90, 9);
    expect(etaSeconds(0.01, 30)).toBeNull();
    expect(etaSeconds(1, 30)).toBeNull();
  });
});

it('waits twice as long after every failure, up to half a minute', () => {
  expect([1, 2, 3, 7, 50].map(backoffSeconds)).toEqual([0.5, 1, 2, 30, 30]);
});

it('names the media type of an artifact by its ending', () => {
  expect(['model.onnx', 'report.json', 'model.zip', 'noending'].map(artifactContentType)).toEqual([
    'application/octet-stream',
    'application/json',
    'application/zip',
    'application/octet-stream',
  ]);
});
