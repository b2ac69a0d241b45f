import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openDataset } from '../../src/datasets/index.js';
import { InputError } from '../../src/errors/index.js';
import { listLayers, loadModel, prepare } from '../../src/models/index.js';
import { type FuzzedFile, SAMPLE } from './files.js';

const LIMITS = {
  maxArchiveEntries: 20,
  maxArchiveRatio: 100,
  maxModelBytes: 2 ** 26,
  maxGraphNodes: 1000,
  maxTensorElements: 2 ** 24,
  maxSamples: 100_000,
};

/** Reads a file as the service does: usable, or refused as the client's fault. Anything else is thrown. */
export async function readFuzzed(
  { kind, bytes }: FuzzedFile,
  directory: string,
  { run }: { run: boolean },
): Promise<'usable' | 'refused'> {
  const path = join(directory, 'file');
  await writeFile(path, bytes);
  let outcome: 'usable' | 'refused' = 'usable';
  // External data stay as long as the model.
  let loaded = false;
  try {
    if (kind === 'npz') {
      const data = await openDataset(path, { directory, limits: LIMITS });
      try {
        await data.verify();
      } finally {
        await data.close();
      }
    } else {
      const read = await loadModel(path, { directory, limits: LIMITS });
      loaded = true;
      const model = prepare(read);
      const length = 2 * SAMPLE.reduce((a, b) => a * b, 1);
      const batch = { dims: [2, ...SAMPLE], data: Float32Array.from({ length }, (_, i) => Math.sin(i)) };
      if (run) await listLayers(model, batch, { threads: 1 });
    }
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    if (error.message.length < 10) throw new Error(`a refusal says nothing: ${error.message}`, { cause: error });
    outcome = 'refused';
  }
  const left = (await readdir(directory)).filter((name) => name !== 'file');
  if (!loaded && outcome === 'refused' && left.length > 0) throw new Error(`files are left: ${left.join(', ')}`);
  return outcome;
}
