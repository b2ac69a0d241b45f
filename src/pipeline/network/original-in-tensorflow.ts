import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { OwnFaultError } from '../../errors/index.js';
import { formatOf, inFormat, saveModel, TensorflowRunner, type Model } from '../../models/index.js';
import type { StepContext } from '../step.js';

interface Sent {
  model: Model;
  prepared: Model;
  path: string;
}

type Loading = Pick<StepContext, 'directory' | 'limits' | 'signal'>;

/**
 * The file that TensorFlow.js reads of the original: what was sent, or, where that is for another runtime, or
 * TensorFlow.js itself does not load it (configurations of Keras 3), the same network written in `format`.
 */
export async function originalInTensorflow(original: Sent, format: Model['format'], loading: Loading): Promise<string> {
  await mkdir(loading.directory, { recursive: true });
  if (await loads(original, loading)) return original.path;
  const path = join(loading.directory, 'original.zip');
  await saveModel(inFormat(original.prepared, format), path);
  return path;
}

async function loads({ model, path }: Sent, loading: Loading): Promise<boolean> {
  if (formatOf(model.format).tensorflow !== true) return false;
  try {
    const runner = await TensorflowRunner.open(model, path, loading);
    await runner.release();
    return true;
  } catch (error) {
    loading.signal.throwIfAborted();
    if (error instanceof OwnFaultError) throw error;
    return false;
  }
}
