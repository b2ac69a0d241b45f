/** What a network is for, as a number of the original's and the compressed network's outputs. */
import type { Outputs } from './sessions.js';
import type { NpzArray } from './npz.js';

export const TASK_KINDS = ['accuracy', 'agreement', 'detections', 'cosine', 'psnr', 'error'] as const;

/** Also the form of a `task.json`. */
export interface Task {
  kind: (typeof TASK_KINDS)[number];
  /** Place of the output that counts; default: the first. */
  output?: number;
  /** Of the last axis: detections are counted in it alone. */
  column?: number;
  /** Above it there is a detection. */
  threshold?: number;
  /** Largest value of the outputs, for the PSNR. */
  peak?: number;
}

/** Outputs of both networks on the same data. */
export interface Compared {
  original: Outputs;
  compressed: Outputs;
  data: ReadonlyMap<string, NpzArray>;
}

const labelsOf = (data: Compared['data']): Float32Array | null => {
  const y = data.get('y');
  return y?.shape.length === 1 ? y.data : null;
};

/** Probabilities, or labels in the data, say that the outputs hold classes. */
export function holdClasses({ original, data }: Compared): boolean {
  const [first] = original;
  if (first?.shape.length !== 2) return false;
  const classes = first.shape[1] ?? 0;
  if (labelsOf(data) !== null) return true;
  for (let row = 0; row < first.data.length; row += classes) {
    const values = first.data.subarray(row, row + classes);
    const sum = values.reduce((total, value) => total + value, 0);
    if (values.some((value) => value < 0) || Math.abs(sum - 1) > 1e-2) return false;
  }
  return classes > 1;
}

/** The task of a network that nothing is known of. */
export function guessTask(compared: Compared): Task {
  if (!holdClasses(compared)) return { kind: compared.original[0]?.shape.length === 2 ? 'cosine' : 'error' };
  return { kind: labelsOf(compared.data) === null ? 'agreement' : 'accuracy' };
}

/** Share of the samples with the same largest entry of the first output. */
export function agreementOf(compared: Compared): number {
  const [a, b] = [argmax(compared.original[0]), argmax(compared.compressed[0])];
  return a.filter((value, i) => value === b[i]).length / a.length;
}

/**
 * Root of the squared difference over the variance of the original's, the mean of the outputs: how the product defines
 * its own.
 */
export function relativeError({ original, compressed }: Compared): number {
  let sum = 0;
  for (const [i, { data: a }] of original.entries()) {
    const b = compressed[i]?.data ?? new Float32Array();
    const mean = a.reduce((total, value) => total + value, 0) / a.length;
    let [variance, squares] = [0, 0];
    for (let k = 0; k < a.length; k++) {
      variance += ((a[k] ?? 0) - mean) ** 2;
      squares += ((a[k] ?? 0) - (b[k] ?? NaN)) ** 2;
    }
    sum += squares === 0 ? 0 : squares / variance;
  }
  return Math.sqrt(sum / original.length);
}

/** In words, with the numbers that matter. */
export function measureTask(task: Task, compared: Compared): { text: string; values: Record<string, number> } {
  switch (task.kind) {
    case 'accuracy': {
      const labels = labelsOf(compared.data);
      if (labels === null) throw new Error('accuracy needs labels `y`');
      const share = (classes: number[]) => {
        const known = classes.filter((_, i) => (labels[i] ?? -1) >= 0).length;
        return classes.filter((value, i) => value === labels[i]).length / known;
      };
      const [before, after] = [share(argmax(compared.original[0])), share(argmax(compared.compressed[0]))];
      return { text: `accuracy ${percent(before)} -> ${percent(after)}`, values: { before, after } };
    }
    case 'agreement': {
      const agreement = agreementOf(compared);
      return { text: `agreement ${percent(agreement)}`, values: { agreement } };
    }
    case 'detections':
      return detections(task, compared);
    case 'cosine':
      return cosine(task, compared);
    case 'psnr':
      return psnr(task, compared);
    case 'error':
      return { text: '', values: {} };
  }
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

function outputOf({ output = 0 }: Task, outputs: Outputs): { shape: number[]; data: Float32Array } {
  const value = outputs[output];
  if (value === undefined) throw new Error(`there is no output ${String(output)}`);
  return value;
}

function argmax(output: Outputs[number] | undefined): number[] {
  const classes = output?.shape.at(-1) ?? 1;
  const data = output?.data ?? new Float32Array();
  return Array.from({ length: data.length / classes }, (_, row) => {
    const values = data.subarray(row * classes, (row + 1) * classes);
    return values.indexOf(Math.max(...values));
  });
}

/** Of the original's detections those that are kept, and new ones; of further outputs the cosine. */
function detections(task: Task, { original, compressed }: Compared) {
  const { column, threshold = 0 } = task;
  const above = (outputs: Outputs) => {
    const { shape, data } = outputOf(task, outputs);
    const width = shape.at(-1) ?? 1;
    return data.filter((_, i) => column === undefined || i % width === column).map((x) => (x > threshold ? 1 : 0));
  };
  const [a, b] = [above(original), above(compressed)];
  const count = (of: (i: number) => boolean) => a.reduce((sum, _, i) => sum + (of(i) ? 1 : 0), 0);
  const [found, kept] = [count((i) => a[i] === 1), count((i) => a[i] === 1 && b[i] === 1)];
  const added = count((i) => a[i] === 0 && b[i] === 1);
  return {
    text: `${String(kept)} of ${String(found)} detections, ${String(added)} new`,
    values: { found, kept, added },
  };
}

/** Of every sample. */
function cosine(task: Task, { original, compressed }: Compared) {
  const [a, b] = [outputOf(task, original), outputOf(task, compressed)];
  const samples = a.shape[0] ?? 1;
  const width = a.data.length / samples;
  const cosines = Array.from({ length: samples }, (_, row) => {
    let [ab, aa, bb] = [0, 0, 0];
    for (let i = row * width; i < (row + 1) * width; i++) {
      const [x, y] = [a.data[i] ?? 0, b.data[i] ?? 0];
      ab += x * y;
      aa += x * x;
      bb += y * y;
    }
    return ab / Math.sqrt(aa * bb);
  });
  const [mean, least] = [cosines.reduce((sum, x) => sum + x, 0) / samples, Math.min(...cosines)];
  return { text: `cosine ${mean.toFixed(4)} (least ${least.toFixed(3)})`, values: { mean, least } };
}

/** Between both networks, and of each to the picture that was wanted, where the data has it. */
function psnr(task: Task, { original, compressed, data }: Compared) {
  const { peak = 1 } = task;
  const [a, b] = [outputOf(task, original), outputOf(task, compressed)];
  const decibels = (of: (i: number) => number) => {
    let sum = 0;
    for (let i = 0; i < a.data.length; i++) sum += of(i) ** 2;
    return 10 * Math.log10(peak ** 2 / (sum / a.data.length));
  };
  const between = decibels((i) => (a.data[i] ?? 0) - (b.data[i] ?? 0));
  const wanted = data.get('hr');
  if (wanted?.data.length !== a.data.length) return { text: `PSNR ${between.toFixed(1)} dB`, values: { between } };
  // Pictures come as bytes with the channels last.
  const [, channels = 1, height = 1, width = 1] = a.shape;
  const pixel = (i: number) => {
    const [x, y] = [i % width, Math.floor(i / width) % height];
    const [c, n] = [Math.floor(i / (width * height)) % channels, Math.floor(i / (width * height * channels))];
    return (peak * (wanted.data[((n * height + y) * width + x) * channels + c] ?? 0)) / 255;
  };
  const of = ({ data: values }: { data: Float32Array }) =>
    decibels((i) => Math.min(peak, Math.max(0, values[i] ?? 0)) - pixel(i));
  const [before, after] = [of(a), of(b)];
  return {
    text: `PSNR ${between.toFixed(1)} dB; to the picture ${before.toFixed(2)} -> ${after.toFixed(2)} dB`,
    values: { between, before, after },
  };
}
