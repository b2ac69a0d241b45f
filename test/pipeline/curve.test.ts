import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { InputError } from '../../src/errors/index.js';
import type { Target } from '../../src/jobs/spec.js';
import type { Assignment, MeasuredPoint } from '../../src/jobs/tasks.js';
import { curveSvg } from '../../src/pipeline/steps/evaluate/curve-plot.js';
import { groupsWithin } from '../../src/pipeline/steps/evaluate/evaluate.js';
import { compressLocally, type LocalResult } from '../../src/pipeline/local.js';
import { planPoints, type PointsShare } from '../../src/pipeline/steps/plan/plan-points.js';
import type { StepContext } from '../../src/pipeline/step.js';
import { scratch } from '../models/graphs.js';
import { layerRow, testMetrics, testSpec } from '../support/jobs.js';
import { localOptions, writeFiles, type Files } from './network.js';

const sha256 = async (path: string) =>
  createHash('sha256')
    .update(await readFile(path))
    .digest('hex');

let files: Files;
beforeAll(async () => {
  files = await writeFiles(scratch());
});

const several = (targets: Target[], change: Record<string, unknown> = {}) => ({
  target: undefined,
  targets,
  ...change,
});

async function refusal(targets: Target[], change: Partial<Files> = {}): Promise<InputError> {
  const options = localOptions({ ...files, ...change }, scratch(), several(targets));
  const error: unknown = await compressLocally(options).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(InputError);
  return error as InputError;
}

describe('a job with several targets', () => {
  const targets = [{ parameter_ratio: 2 }, { parameter_ratio: 3 }, { mac_ratio: 2.5 }];
  let output: string;
  let result: LocalResult;
  const steps: string[] = [];
  beforeAll(async () => {
    output = scratch();
    const onProgress = (kind: string, layer: { index: number } | null, fraction: number, point: number | null) => {
      if (fraction === 0) steps.push([kind, layer?.index, point].filter((part) => part != null).join(' '));
    };
    result = await compressLocally({ ...localOptions(files, output, several(targets)), onProgress });
  });

  it('goes through the shared steps once, solves each layer in one task and assembles each point', () => {
    const layers = steps.filter((step) => step.startsWith('layer'));
    expect(layers).toEqual([...new Set(layers)].sort());
    expect(steps.filter((step) => !step.startsWith('layer'))).toEqual([
      'inspect',
      'plan',
      'assemble 1',
      'assemble 2',
      'assemble 3',
      'evaluate',
    ]);
  });

  it('gives every point the very model that a job with this target alone gives', async () => {
    for (const [i, target] of targets.entries()) {
      const alone = scratch();
      const single = await compressLocally(localOptions(files, alone, { target }));
      const name = i === 0 ? 'model.onnx' : `model-${String(i + 1)}.onnx`;
      expect(await sha256(join(output, name))).toBe(await sha256(join(alone, 'model.onnx')));
      const point = result.points[i];
      expect(point).toMatchObject({ point: i + 1, target, model: name, error: null, verdict: { passed: true } });
      for (const of of ['parameters', 'macs', 'bytes', 'accuracy', 'fidelity'] as const)
        expect(point?.metrics?.[of]).toEqual(single.metrics[of]);
      const known = (layers: LocalResult['layers']) =>
        layers.map((row) => ({
          ...row,
          ...{ seconds: null, latency_ms: row.latency_ms === null },
          // What is said of a compressed layer depends on how long it took.
          reason: row.decision === 'compressed' ? null : row.reason,
        }));
      expect(known(point?.layers ?? [])).toEqual(known(single.layers));
    }
  });

  it('solves and times a layer once for points with the same choice', () => {
    const shared = result.points.flatMap(({ layers: rows }, i) =>
      rows.flatMap((row) =>
        result.points
          .slice(i + 1)
          .flatMap(({ layers: others }) => others.filter(({ index }) => index === row.index))
          .filter((other) => row.rank !== null && other.rank === row.rank && other.groups === row.groups)
          .map((other) => [row, other] as const),
      ),
    );
    expect(shared.length).toBeGreaterThan(0);
    for (const [row, other] of shared) {
      expect(other.seconds).toBe(row.seconds);
      expect(other.latency_ms).toEqual(row.latency_ms);
    }
  });

  it('measures all points beside the same runs of the original', () => {
    const [first, ...others] = result.points.map(({ metrics }) => metrics);
    for (const other of others)
      expect(other?.latency.map(({ before_ms }) => before_ms)).toEqual(
        first?.latency.map(({ before_ms }) => before_ms),
      );
  });

  it('has the first point at the top, and writes every model, one report, one manifest and the plot', async () => {
    expect(result.metrics).toEqual(result.points[0]?.metrics);
    expect(result.artifacts.sort()).toEqual([
      'curve.svg',
      'manifest.json',
      'model-2.onnx',
      'model-3.onnx',
      'model.onnx',
      'report.html',
      'report.json',
    ]);
    const read = async (name: string) =>
      JSON.parse(await readFile(join(output, name), 'utf8')) as Record<string, unknown>;
    const report = await read('report.json');
    expect(report).toMatchObject({ metrics: result.metrics, verdict: result.verdict, layers: result.layers });
    expect(report['points']).toEqual(result.points);
    const manifest = (await read('manifest.json')) as { outputs: { name: string; sha256: string }[] };
    expect(manifest.outputs.map(({ name }) => name).sort()).toEqual(
      result.artifacts.filter((name) => name !== 'manifest.json'),
    );
    for (const { name, sha256: digest } of manifest.outputs) expect(digest).toBe(await sha256(join(output, name)));
  });
});

describe('a target that cannot be reached', () => {
  it('gives what came nearest and says so, and the other points are what they would be', async () => {
    const output = scratch();
    const targets = [{ speedup: 100 }, { parameter_ratio: 3 }];
    const result = await compressLocally(localOptions(files, output, several(targets)));
    const [missed, reached] = result.points;
    expect(missed).toMatchObject({ model: 'model.onnx', error: null, verdict: { passed: false } });
    expect(missed?.verdict?.warnings).toContainEqual(
      expect.objectContaining({
        code: 'target_out_of_reach',
        cause: expect.stringMatching(/^a speedup of 100.00 at batch 1 cannot .* the most that was measured is \d/),
      }),
    );
    expect(reached).toMatchObject({ model: 'model-2.onnx', verdict: { passed: true } });
    expect(result.artifacts.sort()).toEqual([
      'curve.svg',
      'manifest.json',
      'model-2.onnx',
      'model.onnx',
      'report.html',
      'report.json',
    ]);
    // Whole networks are timed, ten of them.
  });

  it('is refused where it is known before any work', async () => {
    const known = await refusal([{ parameter_ratio: 3 }, { mac_ratio: 900 }]);
    expect([known.code, known.faults[0]?.pointer]).toEqual(['unreachable_target', '/targets/1/mac_ratio']);
    const unlabelled = await refusal([{ parameter_ratio: 3 }, { max_accuracy_drop: 0.1 }], {
      evaluation: files.calibration,
    });
    expect([unlabelled.code, unlabelled.faults[0]?.pointer]).toEqual(['invalid_spec', '/evaluation']);
  });
});

describe('the plan of several points', () => {
  const assignment = (targets: Target[]): Assignment => ({
    taskId: 't',
    jobId: 'j',
    teamId: 't',
    kind: 'plan',
    layer: null,
    point: null,
    attempt: 1,
    spec: { ...testSpec(), targets },
    inputs: { model: input, calibration: input, evaluation: null },
    finished: [
      {
        kind: 'inspect',
        layer: null,
        point: null,
        result: {
          model: { format: 'onnx', parameters: 1, macs: 1, bytes: 1, inputs: [], outputs: [], weights: 'float32' },
          layers: [layerRow(0)],
        },
        files: [],
      },
    ],
    seconds: { queued: 0, running: 0, device: 0 },
    labels: {},
  });
  const input = { key: 'k', bytes: 1, sha256: '', filename: 'f' };
  const context = (progress: (fraction: number) => void) => ({ progress }) as StepContext;

  it('hands on what one point has found out, asks for one target at a time, and never goes back', async () => {
    const seen: { target: Target; known: number }[] = [];
    const progress: number[] = [];
    const one = (single: Assignment, inner: StepContext, shared: PointsShare) => {
      seen.push({ target: single.spec.target, known: shared.qualities.size });
      shared.qualities.set(String(seen.length), {
        accuracy: null,
        fidelity: { top1_agreement: 1, relative_error: 0, samples: 1 },
      });
      for (const fraction of [0.5, 1]) inner.progress(fraction);
      return Promise.resolve({ allocations: [], layers: [] });
    };
    const targets = [{ max_accuracy_drop: 0.01 }, { max_accuracy_drop: 0.02 }];
    const plan = await planPoints(
      assignment(targets),
      context((f) => progress.push(f)),
      one,
    );
    expect(plan.points.map(({ point, target }) => [point, target])).toEqual(
      targets.map((target, i) => [i + 1, target]),
    );
    expect(seen).toEqual(targets.map((target, known) => ({ target, known })));
    expect(progress).toEqual([0.25, 0.5, 0.75, 1]);
  });

  it('ends with an error of any of them', async () => {
    const broken = () => Promise.reject(new InputError('invalid_dataset', 'no labels'));
    const targets = [{ speedup: 2 }, { speedup: 3 }];
    await expect(
      planPoints(
        assignment(targets),
        context(() => undefined),
        broken,
      ),
    ).rejects.toThrow('no labels');
  });
});

describe('the evaluation of several networks', () => {
  it('holds no more of them in memory than the limit allows, and each of them once', () => {
    const bytesOf = ({ bytes }: { bytes: number }) => bytes;
    const sizes = (groups: { bytes: number }[][]) => groups.map((group) => group.map(({ bytes }) => bytes));
    const items = [5, 3, 2, 20, 1].map((bytes) => ({ bytes }));
    expect(sizes(groupsWithin(items, 8, bytesOf))).toEqual([[5, 3], [2], [20], [1]]);
    expect(sizes(groupsWithin(items, 100, bytesOf))).toEqual([[5, 3, 2, 20, 1]]);
    expect(groupsWithin([], 8, bytesOf)).toEqual([]);
  });
});

describe('the plot', () => {
  const measured = (point: number, ratio: number, after: number | null): MeasuredPoint => ({
    point,
    model: 'model.onnx',
    metrics: {
      ...testMetrics(),
      parameters: { before: 100, after: 100 / ratio, ratio },
      accuracy: after === null ? null : { before: 0.9, after, drop: 0.9 - after, samples: 10 },
    },
    verdict: { passed: true, checks: [] },
    layers: [],
  });
  const heights = (svg: string) =>
    [...svg.matchAll(/<circle class="dot" cx="([\d.]+)" cy="([\d.]+)"/g)].map((m) => [Number(m[1]), Number(m[2])]);

  it('shows the dense network and every point, by rising ratio, a lower accuracy further down', () => {
    const svg = curveSvg([measured(1, 8, 0.7), measured(2, 2, 0.89), measured(3, 4, 0.85)]);
    const dots = heights(svg);
    expect(dots).toHaveLength(4);
    expect(dots).toEqual([...dots].sort(([a = 0], [b = 0]) => a - b));
    expect(dots.map(([, y]) => y)).toEqual(dots.map(([, y]) => y).sort((a = 0, b = 0) => a - b));
    expect(svg).toContain('accuracy in %');
    expect(svg).not.toMatch(/NaN|Infinity/);
  });

  it('shows the agreement of the outputs without labels, and takes points at the same place', () => {
    const svg = curveSvg([measured(1, 4, null), measured(2, 4, null)]);
    expect(svg).toContain('relative error of the outputs');
    expect(svg).not.toMatch(/NaN|Infinity/);
  });
});
