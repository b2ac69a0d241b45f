import { copyFile, mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { modelName, writtenFormat } from '../../../jobs/points.js';
import type { Assignment, EvaluateResult, MeasuredPoint } from '../../../jobs/tasks.js';
import { foldWeights, listLayers, prepare, Runner, spillWeights, type Model } from '../../../models/index.js';
import type { Dataset } from '../../../datasets/index.js';
import { affordableImages, spread } from '../../cost/budgets.js';
import { asInspected } from '../../network/as-inspected.js';
import { repeatRows } from '../../network/batch.js';
import { writeCurve } from './curve-plot.js';
import { finishedOf, keyOf, optionalFileOf } from '../../files/finished.js';
import { files } from '../../files/step-files.js';
import { load, measureGroup, type Candidate, type Original } from './measure-group.js';
import { toFit, toMeasure } from '../../network/held-out.js';
import { openSamples } from '../../network/network.js';
import { writeManifest, writeReport } from './report.js';
import { partOf, type StepContext } from '../../step.js';

/** Of the progress of this step; the rest is for files. */
const MEASURED = 0.95;
/** Files of compressed networks that are measured together: they are all in memory, some times over. */
const TOGETHER_BYTES = 512 << 20;

/**
 * Measures the compressed networks of all points against the original, on this worker, side by side: one curve with the
 * numbers of one machine, and the original runs once for all. Writes what the client downloads.
 */
export async function evaluate(assignment: Assignment, context: StepContext): Promise<EvaluateResult> {
  const { inputs, spec } = assignment;
  const output = join(context.directory, 'output');
  await mkdir(output, { recursive: true });
  const model = await load(context, context.path(inputs.model.key), 'original');
  const sent = await openSamples(
    context,
    model,
    (inputs.evaluation ?? inputs.calibration).key,
    inputs.evaluation === null ? 'calibration' : 'evaluation',
  );
  try {
    const threads = spec.benchmark.threads ?? context.threads;
    const original = await openOriginal(assignment, model, sent, context);
    const { data, on } = withinCost(toMeasure(sent, assignment, original.fixedBatch), original);
    const openFitted = async () => {
      if (on.data === 'calibration') return null;
      const calibration =
        inputs.evaluation === null ? sent : await openSamples(context, model, inputs.calibration.key, 'calibration');
      const close = () => (calibration === sent ? Promise.resolve() : calibration.close());
      return { data: toFit(calibration, assignment, original.fixedBatch), close };
    };
    const measuring = { assignment, original, data, on, openFitted, threads };
    const candidates = await candidatesOf(assignment, writtenFormat(spec, original.model.format), context);
    const points: MeasuredPoint[] = [];
    for (const group of groupsWithin(candidates, TOGETHER_BYTES, bytesTogether)) {
      const share = (count: number) => (MEASURED * count) / candidates.length;
      const part = partOf(context, share(points.length), share(points.length + group.length));
      points.push(...(await measureGroup(measuring, group, part)));
    }
    for (const { path, name } of candidates) await copyFile(path, join(output, name));
    const reports = await writeReport(output, assignment, points);
    const names = [...candidates.map(({ name }) => name), ...reports];
    if (points.length > 1) {
      await writeCurve(join(output, 'curve.svg'), points);
      names.push('curve.svg');
    }
    await writeManifest(output, names, assignment);
    return { points };
  } finally {
    await sent.close();
  }
}

/** Held-out samples are as many as a pass may cost; evaluation data that a client sends is measured whole. */
function withinCost(all: ReturnType<typeof toMeasure>, { listed, fixedBatch }: Original): ReturnType<typeof toMeasure> {
  const most = affordableImages(listed.layers, all.data.count, fixedBatch);
  if (all.on.data === 'evaluation' || most === all.data.count) return all;
  return { data: all.data.subset(spread(all.data.count, most)), on: { ...all.on, samples: most } };
}

async function openOriginal(
  assignment: Assignment,
  model: Model,
  data: Dataset,
  context: StepContext,
): Promise<Original> {
  const { inputs, spec } = assignment;
  const folded = await foldWeights(model, { threads: context.threads });
  const prepared = await spillWeights(prepare(folded), join(context.directory, 'original'));
  const fixedBatch = await fixedBatchOf(model, spec.benchmark.threads ?? context.threads);
  const probe = await repeatRows(data, fixedBatch ?? Math.min(2, data.count));
  return {
    model,
    prepared,
    fixedBatch,
    bytes: (await stat(context.path(inputs.model.key))).size,
    listed: asInspected(await listLayers(prepared, probe, { threads: context.threads }), assignment),
    probe,
    images: await repeatRows(data, fixedBatch ?? 1),
  };
}

async function candidatesOf(
  assignment: Assignment,
  format: Model['format'],
  context: StepContext,
): Promise<Candidate[]> {
  const assembled = finishedOf(assignment, 'assemble').sort((a, b) => (a.point ?? 0) - (b.point ?? 0));
  return Promise.all(
    assembled.map(async (task) => {
      const point = task.point ?? 0;
      const path = context.path(keyOf(task, files.model));
      const twin = optionalFileOf(task, files.uncoded);
      const uncoded = twin === null ? null : { path: context.path(twin.key), bytes: twin.bytes };
      const named = optionalFileOf(task, files.inner);
      const inner = named === null ? path : context.path(named.key);
      return { point, name: modelName(point, format), path, bytes: (await stat(path)).size, uncoded, inner };
    }),
  );
}

const bytesTogether = ({ bytes, uncoded }: Candidate): number => bytes + (uncoded?.bytes ?? 0);

/** In order; a group holds at least one. */
export function groupsWithin<T>(items: readonly T[], limit: number, bytesOf: (item: T) => number): T[][] {
  const groups: T[][] = [];
  let total = Infinity;
  for (const item of items) {
    if (total + bytesOf(item) > limit) {
      groups.push([]);
      total = 0;
    }
    groups.at(-1)?.push(item);
    total += bytesOf(item);
  }
  return groups;
}

/** The batch size that a model is fixed to, if it is. */
async function fixedBatchOf(model: Model, threads: number): Promise<number | null> {
  const runner = await Runner.open(model, { threads });
  await runner.release();
  return runner.fixedBatch;
}
