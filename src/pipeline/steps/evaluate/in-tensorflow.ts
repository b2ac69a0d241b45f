import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Dataset } from '../../../datasets/index.js';
import type { Metrics } from '../../../jobs/results.js';
import type { Spec } from '../../../jobs/spec.js';
import { formatOf, TensorflowRunner, type Model } from '../../../models/index.js';
import { networkLatencies } from '../../latency/network-latency.js';
import { compareModels } from '../../network/compare/compare.js';
import { askedAnswers } from '../../network/quality.js';
import { originalInTensorflow } from '../../network/original-in-tensorflow.js';
import { batchesInTensorflow, MOST_IN_TENSORFLOW, spread } from '../../cost/budgets.js';
import type { StepContext } from '../../step.js';

/** Samples of one run. */
const BATCH = 8;

export interface InTensorflow {
  original: { model: Model; prepared: Model; path: string };
  /** The compressed networks and their files. */
  networks: readonly { model: Model; path: string }[];
  data: Dataset;
  spec: Spec;
}

/** What TensorFlow.js itself makes of every network; null where they are not written for it. */
export async function measureInTensorflow(
  { original, networks, data, spec }: InTensorflow,
  context: StepContext,
): Promise<NonNullable<Metrics['tensorflowjs']>[] | null> {
  const format = networks[0]?.model.format;
  if (format === undefined || formatOf(format).tensorflow !== true) return null;
  const { limits, signal } = context;
  const directory = join(context.directory, 'tensorflow');
  await mkdir(directory, { recursive: true });
  const paths = new Map(networks.map(({ model, path }) => [model, path]));
  paths.set(original.model, await originalInTensorflow(original, format, { directory, limits, signal }));
  const { backend, version } = await TensorflowRunner.runtime();
  const open = (model: Model) => {
    const path = paths.get(model);
    if (path === undefined) throw new RangeError('a network without a file');
    return TensorflowRunner.open(model, path, { directory, limits, signal });
  };
  const models = networks.map(({ model }) => model);
  const few = data.count > MOST_IN_TENSORFLOW ? data.subset(spread(data.count, MOST_IN_TENSORFLOW)) : data;
  const progress = () => undefined;
  const comparisons = await compareModels(original.model, models, few, {
    ...{ context, batch: BATCH, open, progress },
    answers: askedAnswers(spec),
  });
  const latencies = await networkLatencies(original.model, models, few, {
    ...{
      threads: 1,
      spec: { benchmark: { ...spec.benchmark, batch_sizes: batchesInTensorflow(spec.benchmark) } },
      mostWithArena: Infinity,
    },
    ...{ open, signal, progress },
  });
  return networks.map((_, i) => {
    const [comparison, latency] = [comparisons[i], latencies[i]];
    if (comparison === undefined || latency === undefined) throw new RangeError('a network was not measured');
    return { backend, version, latency, speedup: latency[0]?.speedup ?? 1, ...comparison };
  });
}
