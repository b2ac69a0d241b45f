import { mkdir, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { writeNpz } from '../../../src/datasets/index.js';
import { resolveSpec } from '../../../src/jobs/resolve-spec.js';
import { layersToSolve } from '../../../src/jobs/points.js';
import type { Assignment, FinishedTask, JobInput, PlanResult, StepResults, TaskKind } from '../../../src/jobs/tasks.js';
import { makeInts } from '../../../src/models/ir/attributes.js';
import { floatTensor } from '../../../src/models/ir/tensors.js';
import type { ModelProto } from '../../../src/models/ir/messages.js';
import { runStep, type StepContext } from '../../../src/pipeline/index.js';
import { node, noise, proto, scratch, tensorOf, writeProto } from '../../models/graphs.js';
import { LIMITS } from '../network.js';

export const SIDE = 6;
export const CHANNELS = 16;
export const RANK = 2;
export const SAMPLES = 40;
export const CLASSES = 3;

/** [m, n, 3, 3] weights of rank `RANK`, so that what a fit may lose is known. */
function planted(name: string, m: number, n: number, seed: number) {
  const [p, q] = [noise(m * RANK, seed), noise(RANK * n * 9, seed + 1)];
  const at = (i: number, j: number) =>
    Array.from({ length: RANK }, (_, k) => (p[i * RANK + k] ?? NaN) * (q[k * n * 9 + j] ?? NaN)).reduce(
      (a, b) => a + b,
    );
  const data = Float32Array.from({ length: m * n * 9 }, (_, i) => at(Math.floor(i / (n * 9)), i % (n * 9)) / 3);
  return floatTensor(name, [m, n, 3, 3], data);
}

/** Two convolutions whose weights have rank 2, a depthwise one that stays as it is, and a classifier. */
export function tinyNetwork(): ModelProto {
  const pads = makeInts('pads', [1, 1, 1, 1]);
  return proto({
    input: [3, SIDE, SIDE],
    output: 'logits',
    tensors: [
      planted('w0', CHANNELS, 3, 11),
      planted('w1', CHANNELS, CHANNELS, 21),
      tensorOf('b0', [CHANNELS]),
      tensorOf('b1', [CHANNELS]),
      tensorOf('wd', [CHANNELS, 1, 3, 3], 31),
      tensorOf('wf', [CLASSES, CHANNELS * SIDE * SIDE], 41),
      tensorOf('bf', [CLASSES]),
    ],
    nodes: [
      node('Conv', ['x', 'w0', 'b0'], 'c0', [pads], 'first'),
      node('Relu', ['c0'], 'a0'),
      node('Conv', ['a0', 'w1', 'b1'], 'c1', [pads], 'second'),
      node('Relu', ['c1'], 'a1'),
      node('Conv', ['a1', 'wd'], 'd', [pads, { name: 'group', type: 2, i: CHANNELS }], 'depthwise'),
      node('Flatten', ['d'], 'f'),
      node('Gemm', ['f', 'wf', 'bf'], 'logits', [{ name: 'transB', type: 2, i: 1 }], 'classifier'),
    ],
  });
}

const images = (count: number, seed: number) => ({
  dims: [count, 3, SIDE, SIDE],
  data: noise(count * 3 * SIDE * SIDE, seed),
});

async function fileAt(path: string): Promise<JobInput> {
  return { key: path, bytes: (await stat(path)).size, sha256: '', filename: path };
}

/**
 * The steps of one job, one at a time: a test runs those that its step builds on, and then the one that it is about.
 * Keys of files are their paths.
 */
export class StepRig {
  private constructor(
    readonly directory: string,
    private base: Assignment,
  ) {}

  static async open(
    given: Record<string, unknown> = {},
    { labels = true, model = tinyNetwork() } = {},
  ): Promise<StepRig> {
    const directory = scratch();
    const [calibration, evaluation] = [join(directory, 'calibration.npz'), join(directory, 'evaluation.npz')];
    await writeNpz(calibration, { x: images(SAMPLES, 7) });
    const y = { dims: [SAMPLES], data: BigInt64Array.from({ length: SAMPLES }, (_, i) => BigInt(i % CLASSES)) };
    await writeNpz(evaluation, { x: images(SAMPLES, 8), ...(labels ? { y } : {}) });
    const source = { upload: 'upl_test' };
    const spec = resolveSpec({
      ...{ model: source, calibration: source, evaluation: source },
      target: { parameter_ratio: 1.2 },
      benchmark: { batch_sizes: [1] },
      ...given,
    });
    const inputs = {
      model: await fileAt(writeProto(model, directory)),
      calibration: await fileAt(calibration),
      evaluation: await fileAt(evaluation),
    };
    const base: Assignment = {
      ...{ taskId: 'tsk_test', jobId: 'job_test', teamId: 'team_test', attempt: 1, labels: {}, spec, inputs },
      ...{ kind: 'inspect', layer: null, point: null, finished: [], seconds: { queued: 0, running: 0, device: 0 } },
    };
    return new StepRig(directory, base);
  }

  assignment(kind: TaskKind, { layer = null, point = null }: Partial<Pick<Assignment, 'layer' | 'point'>> = {}) {
    return { ...this.base, kind, layer, point };
  }

  /** With a directory of its own. */
  async context(name: string): Promise<StepContext> {
    const directory = join(this.directory, name);
    await mkdir(join(directory, 'output'), { recursive: true });
    return {
      ...{ directory, limits: LIMITS, engine: 'onnxruntime', threads: 1 },
      path: (key) => key,
      signal: new AbortController().signal,
      progress: () => undefined,
    };
  }

  /** Runs a step and keeps what it leaves for those after it. */
  async run<K extends TaskKind>(
    kind: K,
    of: Partial<Pick<Assignment, 'layer' | 'point'>> = {},
  ): Promise<{ result: StepResults[K]; path: (name: string) => string }> {
    const context = await this.context([kind, of.layer ?? of.point ?? ''].join('-'));
    const assignment = this.assignment(kind, of);
    const result = await runStep(assignment, context);
    const output = join(context.directory, 'output');
    const files = await Promise.all(
      (await readdir(output)).map(async (name) => ({ ...(await fileAt(join(output, name))), name })),
    );
    const { layer, point } = assignment;
    const task = { kind, layer, point, result, files, peakBytes: null } as FinishedTask;
    this.base = { ...this.base, finished: [...this.base.finished, task] };
    return { result: result as StepResults[K], path: (name) => join(output, name) };
  }

  /** Puts other results in the place of a step that has run. */
  change<K extends TaskKind>(kind: K, change: (result: StepResults[K]) => StepResults[K]): void {
    const finished = this.base.finished.map((task) =>
      task.kind === kind ? ({ ...task, result: change(task.result as StepResults[K]) } as FinishedTask) : task,
    );
    this.base = { ...this.base, finished };
  }

  /** inspect, plan, and all layers of the plan. */
  async solveLayers(): Promise<PlanResult> {
    await this.run('inspect');
    const { result } = await this.run('plan');
    for (const layer of layersToSolve(result)) await this.run('layer', { layer });
    return result;
  }
}
