import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openDataset } from '../../src/datasets/index.js';
import { InputError } from '../../src/errors/index.js';
import { resolveSpec } from '../../src/jobs/resolve-spec.js';
import { channelFlows, integerTensors, loadModel, prepare, raiseOpset } from '../../src/models/index.js';
import { inspect } from '../../src/pipeline/steps/inspect/inspect.js';
import { type FuzzedFile, X } from './files.js';
import { zipOf } from './zip.js';

const LIMITS = {
  maxArchiveEntries: 20,
  maxArchiveRatio: 100,
  maxModelBytes: 2 ** 26,
  maxGraphNodes: 1000,
  maxTensorElements: 2 ** 24,
  maxSamples: 100_000,
  maxCalibrationSamples: 100_000,
  layerMemoryBytes: 2 ** 24,
};

const SOURCE = { upload: 'upl_fuzz' };
const SPEC = resolveSpec({
  ...{ model: SOURCE, calibration: SOURCE, target: { parameter_ratio: 1.01 } },
  method: { samples: 64, max_iterations: 2 },
});

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
      const model = prepare(await loadModel(path, { directory, limits: LIMITS }));
      loaded = true;
      channelFlows(model, []);
      integerTensors(raiseOpset(model));
      if (run) await inspected(path, directory);
    }
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    if (error.message.length < 10) throw new Error(`a refusal says nothing: ${error.message}`, { cause: error });
    if (error.code === 'numerical_breakdown') throw new Error('one layer ends the job', { cause: error });
    outcome = 'refused';
  }
  const left = (await readdir(directory)).filter((name) => name !== 'file');
  if (!loaded && outcome === 'refused' && left.length > 0) throw new Error(`files are left: ${left.join(', ')}`);
  return outcome;
}

/** The first step of a job on the model. */
async function inspected(path: string, directory: string): Promise<void> {
  const own = join(directory, 'inspect');
  const calibration = join(directory, 'calibration.npz');
  await mkdir(own);
  await writeFile(calibration, zipOf([{ name: 'x.npy', data: X, deflate: false }]));
  const input = (key: string) => ({ key, bytes: 1, sha256: '', filename: 'file' });
  try {
    await inspect(
      {
        ...{ taskId: 'fuzz', jobId: 'fuzz', teamId: 'fuzz', kind: 'inspect', layer: null, point: null, attempt: 1 },
        ...{ spec: SPEC, finished: [], seconds: { queued: 0, running: 0, device: 0 }, labels: {} },
        inputs: { model: input(path), calibration: input(calibration), evaluation: null },
      },
      {
        ...{ path: (key: string) => key, directory: own, limits: LIMITS, engine: 'onnxruntime', threads: 1 },
        ...{ signal: new AbortController().signal, progress: () => undefined },
      },
    );
  } finally {
    await rm(own, { recursive: true, force: true });
    await rm(calibration, { force: true });
  }
}
