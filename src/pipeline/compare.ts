import type { Dataset } from '../datasets/index.js';
import type { Metrics } from '../jobs/results.js';
import { Runner, type OnnxModel, type Tensor } from '../models/index.js';
import { argmaxRows, OutputError } from './output-error.js';
import { batches, floats } from './network-pass.js';
import type { StepContext } from './step.js';

const BATCH = 32;

/**
 * Accuracy of both models (where the data has labels; on the first output, its last axis the classes) and how far the outputs
 * of the compressed one lie from the original's.
 */
export async function compareModels(
  original: OnnxModel,
  compressed: OnnxModel,
  data: Dataset,
  context: StepContext,
): Promise<Pick<Metrics, 'accuracy' | 'fidelity'>> {
  const a = await Runner.open(original, { threads: context.threads });
  const b = await Runner.open(compressed, { threads: context.threads });
  try {
    const first = a.outputs[0]?.name ?? '';
    const error = new OutputError();
    const agreement = new OutputError();
    const correct = { before: 0, after: 0 };
    for (const { begin, end } of batches(data.count, a.fixedBatch ?? BATCH)) {
      context.signal.throwIfAborted();
      const images = await data.batch(begin, end);
      const before = await a.run(images);
      const after = await b.run(images);
      for (const [name, value] of before) {
        const other = after.get(name);
        if (other === undefined) continue;
        error.add(value, other);
        if (name === first) agreement.add(value, other);
      }
      if (data.labels !== null) {
        const labels = data.labels.subarray(begin, end);
        correct.before += hits(before.get(first), labels);
        correct.after += hits(after.get(first), labels);
      }
      context.progress(0.4 * (end / data.count));
    }
    const share = (count: number) => count / data.count;
    return {
      accuracy:
        data.labels === null
          ? null
          : {
              before: share(correct.before),
              after: share(correct.after),
              drop: share(correct.before - correct.after),
              samples: data.count,
            },
      fidelity: { top1_agreement: agreement.agreement, relative_error: Math.sqrt(error.relative), samples: data.count },
    };
  } finally {
    await a.release();
    await b.release();
  }
}

/** Share of samples whose class the model finds, or null for data without labels. */
export async function accuracyOf(model: OnnxModel, data: Dataset, context: StepContext): Promise<number | null> {
  if (data.labels === null) return null;
  const runner = await Runner.open(model, { threads: context.threads });
  try {
    const first = runner.outputs[0]?.name ?? '';
    let correct = 0;
    for (const { begin, end } of batches(data.count, runner.fixedBatch ?? BATCH)) {
      context.signal.throwIfAborted();
      const outputs = await runner.run(await data.batch(begin, end));
      correct += hits(outputs.get(first), data.labels.subarray(begin, end));
    }
    return correct / data.count;
  } finally {
    await runner.release();
  }
}

function hits(output: Tensor | undefined, labels: Int32Array): number {
  if (output === undefined) return 0;
  const predicted = argmaxRows(floats(output), output.dims.at(-1) ?? 1);
  let count = 0;
  for (let i = 0; i < labels.length; i++) if (predicted[i] === labels[i]) count += 1;
  return count;
}
