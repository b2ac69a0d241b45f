/** One evaluator for the files of all methods, on data that none of them was given. */
import { statSync } from 'node:fs';
import type { ForeignNetwork } from '../elsewhere/networks.js';
import { readNpz } from '../elsewhere/npz.js';
import { outputsOf, speedsOf, type Speed } from '../elsewhere/sessions.js';
import { agreementOf, guessTask, holdClasses, measureTask, relativeError, type Task } from '../elsewhere/tasks.js';
import { countModel } from '../support/evaluator.js';
import type { Candidate } from './methods.js';

export interface Point {
  network: string;
  method: string;
  asked: string;
  /** Of the machine when it was measured. */
  load: number;
  /** Why there is no network, or why it was not measured. */
  reason?: string;
  missed?: boolean;
  seconds?: number;
  measured?: Measurement;
}

export interface Measurement {
  /** Original over compressed; null where the network cannot be counted. */
  parameters: number | null;
  macs: number | null;
  bytes: number;
  speed: Speed[];
  samples: number;
  error: number;
  agreement: number | null;
  accuracy: { before: number; after: number } | null;
  task: Task & { text: string; values: Record<string, number> };
}

interface Settings {
  threads: number;
  batches: readonly number[];
}

/** Opens the data and runs the original once; the result measures a file. */
export async function evaluatorOf(network: ForeignNetwork, { threads, batches }: Settings) {
  const data = await readNpz(network.evaluation);
  const original = await outputsOf(network.model, data, threads);
  const bytes = statSync(network.model).size;
  const count = (path: string) => countModel(path, network.evaluation, threads).catch(() => null);
  const dense = await count(network.model);

  async function ratiosOf({ path = '', counted }: Candidate): Promise<Pick<Measurement, 'parameters' | 'macs'>> {
    if (counted !== undefined) return { parameters: counted.parameters.ratio, macs: counted.macs.ratio };
    const own = await count(path);
    if (own === null || dense === null) return { parameters: null, macs: null };
    return { parameters: dense.parameters / own.parameters, macs: dense.macs / own.macs };
  }

  return async (candidate: Candidate): Promise<Measurement> => {
    const { path = '' } = candidate;
    const compared = { original, compressed: await outputsOf(path, data, threads), data };
    const task = network.task ?? guessTask(compared);
    const found = measureTask(task, compared);
    const { before = NaN, after = NaN } = found.values;
    return {
      ...(await ratiosOf(candidate)),
      bytes: bytes / (candidate.bytes ?? statSync(path).size),
      speed: await speedsOf([network.model, path], data, { threads, batches }),
      samples: original[0]?.shape[0] ?? 0,
      error: relativeError(compared),
      agreement: holdClasses(compared) ? agreementOf(compared) : null,
      accuracy: task.kind === 'accuracy' ? { before, after } : null,
      task: { ...task, ...found },
    };
  };
}
