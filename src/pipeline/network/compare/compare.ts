import { countLabels, type Dataset } from '../../../datasets/index.js';
import { InputError } from '../../../errors/index.js';
import type { Answers, Metrics } from '../../../jobs/results.js';
import { outputParts, Runner, type Model, type Tensor } from '../../../models/index.js';
import { repeatRows } from '../batch.js';
import { AnswersLook, knownAnswers } from './answers.js';
import { comparedTensors } from './compared.js';
import { argmaxRows } from './output-error.js';
import { sampleAxes, SampledFidelity } from './sampled.js';
import { batches, floats } from '../network-pass.js';
import { firstBad, requireFiniteOutputs } from '../non-finite.js';
import type { StepContext } from '../../step.js';

/** Samples of one run, where memory allows. */
export const BATCH = 32;

type Comparison = Pick<Metrics, 'accuracy' | 'fidelity'>;

type ComparedRunner = Pick<Runner, 'run' | 'release' | 'fixedBatch'>;

export interface ComparisonOptions {
  context: Pick<StepContext, 'threads' | 'signal'>;
  /** Samples of one run, unless the model fixes it. */
  batch: number;
  /** With what the networks run, where that is not ONNX Runtime: their outputs are compared, and nothing inside. */
  open?: (model: Model) => Promise<ComparedRunner>;
  /** What the first output holds, where the client says it. */
  answers?: Answers['are'] | undefined;
  /** Share of the data that is done. */
  progress: (share: number) => void;
}

/**
 * Accuracy of all models (where the data has labels; on the first output, its last axis the classes) and how far the
 * outputs of each compressed one lie from the original's, which runs once for all of them.
 */
export async function compareModels(
  original: Model,
  compressed: readonly Model[],
  data: Dataset,
  { context, batch, open: given, answers: asked, progress }: ComparisonOptions,
): Promise<Comparison[]> {
  const { threads } = context;
  const outputNames = original.graph.output.map(({ name }) => name);
  const compared = given === undefined ? await comparedIn(original, compressed, data, threads) : outputNames;
  const open = (model: Model): Promise<ComparedRunner> => {
    if (given !== undefined) return given(model);
    const outputs = new Set(model.graph.output.map(({ name }) => name));
    return Runner.open(model, { threads, capture: compared.filter((name) => !outputs.has(name)) });
  };
  const a = await open(original);
  const others: { runner: ComparedRunner; sampled: SampledFidelity; correct: number }[] = [];
  try {
    const rows = a.fixedBatch ?? Math.min(2, data.count);
    const probe = await repeatRows(data, rows);
    const parts = await outputParts(original, probe, { threads, names: compared });
    const probed = await a.run(probe);
    const axes = sampleAxes(probed, rows);
    for (const model of compressed)
      others.push({ runner: await open(model), sampled: new SampledFidelity(data.count, { parts, axes }), correct: 0 });
    const first = outputNames[0] ?? '';
    const labelling = { asked, labelled: data.labels !== null };
    const known = knownAnswers(original, probed.get(first)?.dims ?? [], labelling);
    const look = new AnswersLook();
    let correct = 0;
    for (const { begin, end } of batches(data.count, a.fixedBatch ?? batch)) {
      context.signal.throwIfAborted();
      const images = await data.batch(begin, end);
      const labels = data.labels?.subarray(begin, end) ?? null;
      const before = await a.run(images);
      await requireFiniteOutputs(original, before, { images, begin, data }, context);
      const answered = before.get(first);
      if (labels !== null) correct += hits(answered, labels);
      if (known === 'look' && answered !== undefined) look.add(answered);
      for (const other of others) {
        const after = await other.runner.run(images);
        requireFinite(after, outputNames, { begin, data });
        for (const [name, value] of before) {
          const changed = after.get(name);
          if (changed === undefined) continue;
          const isAnswer = name === first && known !== null;
          other.sampled.add(name, [value, changed], { begin, end }, { isAnswer, isCompared: compared.includes(name) });
        }
        if (labels !== null) other.correct += hits(after.get(first), labels);
      }
      progress(end / data.count);
    }
    const labelled = data.labels === null ? 0 : countLabels(data.labels);
    const share = (count: number) => count / labelled;
    const answers = known === 'look' ? look.answers : known;
    return others.map((other) => ({
      accuracy:
        data.labels === null
          ? null
          : {
              before: share(correct),
              after: share(other.correct),
              drop: share(correct - other.correct),
              samples: labelled,
            },
      fidelity: withAnswers(other.sampled.fidelity, answers),
    }));
  } finally {
    await a.release();
    for (const { runner } of others) await runner.release();
  }
}

/** Numbers have no answer to agree on. */
function withAnswers(fidelity: SampledFidelity['fidelity'], answers: Answers | null): Comparison['fidelity'] {
  if (answers === null) return fidelity;
  if (answers.are === 'classes') return { ...fidelity, answers };
  const { top1_agreement_ci95: _, ...rest } = fidelity;
  return { ...rest, top1_agreement: null, answers };
}

async function comparedIn(
  original: Model,
  compressed: readonly Model[],
  data: Dataset,
  threads: number,
): Promise<string[]> {
  const runner = await Runner.open(original, { threads });
  const { fixedBatch } = runner;
  await runner.release();
  const probe = await repeatRows(data, fixedBatch ?? Math.min(2, data.count));
  return comparedTensors(original, compressed, probe, { threads });
}

/** The original's are finite. */
function requireFinite(
  values: ReadonlyMap<string, Tensor>,
  outputs: readonly string[],
  { begin, data }: { begin: number; data: Dataset },
): void {
  const bad = firstBad(values, outputs);
  if (bad === null) return;
  const sample = begin + bad.sample;
  const detail = `${data.what}: sample ${String(data.numberOf(sample))} makes output ${bad.tensor} of the compressed network overflow, but not of the original: ask for less`;
  throw new InputError('numerical_breakdown', detail, { faults: data.faults(detail, sample) });
}

/** Share of the samples with a class whose class the model finds, or null for data without labels. */
export async function accuracyOf(
  model: Model,
  data: Dataset,
  context: Pick<StepContext, 'threads' | 'signal'>,
): Promise<number | null> {
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
    return correct / countLabels(data.labels);
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
