import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { formatOf, inFormat, saveModel, type Model } from '../../models/index.js';

/**
 * The file that TensorFlow.js reads of the original: what was sent, or, where that is for another runtime, the same
 * network written in `format`.
 */
export async function originalInTensorflow(
  original: { model: Model; prepared: Model; path: string },
  format: Model['format'],
  directory: string,
): Promise<string> {
  if (formatOf(original.model.format).tensorflow === true) return original.path;
  await mkdir(directory, { recursive: true });
  const path = join(directory, 'original.zip');
  await saveModel(inFormat(original.prepared, format), path);
  return path;
}
