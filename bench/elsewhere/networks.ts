/** The networks that are run: folders, files named on the command line, and the measure of the task of each. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TASK_KINDS, type Task } from './tasks.js';

export interface ForeignNetwork {
  name: string;
  model: string;
  calibration: string;
  evaluation: string;
  /** Null: chosen by what the network gives out. */
  task: Task | null;
}

/** Of networks that are known by name. Others may have a `task.json` in their folder. */
const KNOWN: Readonly<Record<string, Task>> = {
  'page-orientation-pplcnet': { kind: 'accuracy' },
  'eeg-spindles-unet1d': { kind: 'detections', output: 0, threshold: 0 },
  'mobilenetv2-tfjs': { kind: 'agreement' },
  'mtcnn-onet': { kind: 'detections', output: 2, column: 1, threshold: 0.7 },
  'openwakeword-embedding': { kind: 'cosine' },
  'realesr-srvgg': { kind: 'psnr', peak: 1 },
};

const FILES = ['model.onnx', 'calibration.npz', 'evaluation.npz'] as const;
const DEMO = fileURLToPath(new URL('../../examples/fashion-mnist/', import.meta.url));

/** Every folder in `parent` (or `parent` itself) with a model and its data. */
export function networksIn(parent: string): ForeignNetwork[] {
  const folders = readdirSync(parent, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => join(parent, name));
  return [parent, ...folders].filter(isWhole).map((folder) => fromFolder(basename(folder), folder));
}

export const demonstration = (): ForeignNetwork => fromFolder('demonstration', DEMO);

/** `name:model.onnx,calibration.npz,evaluation.npz` */
export function readNetwork(text: string): ForeignNetwork {
  const [name = '', files = ''] = text.split(/:(.*)/s);
  const [model = '', calibration = '', evaluation = ''] = files.split(',');
  for (const path of [model, calibration, evaluation])
    if (!existsSync(path))
      throw new Error(`${text}: ${path || 'a file'} is missing; name:model,calibration,evaluation`);
  return { name, model, calibration, evaluation, task: KNOWN[name] ?? null };
}

const isWhole = (folder: string): boolean => FILES.every((name) => existsSync(join(folder, name)));

function fromFolder(name: string, folder: string): ForeignNetwork {
  const [model, calibration, evaluation] = FILES.map((file) => join(folder, file));
  if (model === undefined || calibration === undefined || evaluation === undefined) throw new Error('three files');
  return { name, model, calibration, evaluation, task: taskFile(join(folder, 'task.json')) ?? KNOWN[name] ?? null };
}

function taskFile(path: string): Task | null {
  if (!existsSync(path)) return null;
  const task = JSON.parse(readFileSync(path, 'utf8')) as Task;
  if (!TASK_KINDS.includes(task.kind)) throw new Error(`${path}: kind must be one of ${TASK_KINDS.join(', ')}`);
  return task;
}
