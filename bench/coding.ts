/**
 * One compressed network with its weights kept in every way: bytes, accuracy, fidelity and speed, measured in turn in
 * one run. `npx tsx bench/coding.ts [model] [options]`; see --help.
 */
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { readConfig } from '../src/config/index.js';
import { openDataset } from '../src/datasets/index.js';
import {
  codeWeights,
  inputNames,
  loadModel,
  prepare,
  readyForIntegers,
  saveModel,
  type Model,
  type WeightCoding,
} from '../src/models/index.js';
import { compareModels } from '../src/pipeline/network/compare/compare.js';
import { activationBytes } from '../src/pipeline/integers/activation-ranges.js';
import { inputMoments } from '../src/pipeline/integers/input-moments.js';
import { integerNetwork } from '../src/pipeline/integers/integer-network.js';
import { networkLatencies } from '../src/pipeline/latency/network-latency.js';
import { seededRandom } from '../src/pipeline/network/random.js';
import { stepLimits } from '../src/worker/limits.js';
import { addFiles, filesOf, readTarget } from './support/files.js';
import { addPython, runPeer } from './support/python.js';
import { runJob } from './support/run-job.js';
import { note, printMachine, printTable } from './support/table.js';

const command = addPython(addFiles(new Command('bench/coding.ts')))
  .option('--target <name=value>', 'of the job that makes the network', 'parameter_ratio=4')
  .option('--compressed <file>', 'code this network instead of running a job')
  .option('--threads <n>', '0: all cores', '0')
  .option('--samples <n>', 'samples of a layer')
  .option('--batch-sizes <list>', 'of the speed measurement', '1,32')
  .option('--codings <list>', 'only these, of the names in the first column')
  .option('--onnxruntime', "ONNX Runtime's own static quantization beside them")
  .parse();
const options = command.opts<{
  target: string;
  compressed?: string;
  threads: string;
  samples?: string;
  batchSizes: string;
  codings?: string;
  onnxruntime?: boolean;
  python: string;
}>();
const files = filesOf(command);
const threads = Number(options.threads) || availableParallelism();
const batches = options.batchSizes.split(',').map(Number);
const limits = stepLimits(readConfig({}));
const { signal } = new AbortController();

const wanted = options.codings?.split(',');
const WAYS: { name: string; weights: WeightCoding; weighted: boolean; activations?: boolean }[] = [
  { name: 'float32', weights: { coding: 'float32', bits: 4 }, weighted: true },
  { name: 'float16', weights: { coding: 'float16', bits: 4 }, weighted: true },
  { name: 'int8', weights: { coding: 'int8', bits: 4 }, weighted: true },
  { name: 'int8, inputs not looked at', weights: { coding: 'int8', bits: 4 }, weighted: false },
  { name: 'static_int8', weights: { coding: 'int8', bits: 4 }, weighted: true, activations: true },
  { name: 'codebook, 8 bits', weights: { coding: 'codebook', bits: 8 }, weighted: true },
  { name: 'codebook, 4 bits', weights: { coding: 'codebook', bits: 4 }, weighted: true },
  { name: 'codebook, 4 bits, inputs not looked at', weights: { coding: 'codebook', bits: 4 }, weighted: false },
];

async function compressed(directory: string): Promise<string> {
  if (options.compressed !== undefined) return options.compressed;
  note(`a job for ${options.target}`);
  const spec = {
    target: readTarget(options.target),
    method: options.samples === undefined ? {} : { samples: Number(options.samples) },
    benchmark: { batch_sizes: [1] },
  };
  await runJob({ files, spec, threads, output: directory });
  return join(directory, 'model.onnx');
}

async function main(directory: string): Promise<void> {
  const load = async (path: string) => loadModel(path, { directory, limits, signal });
  const original = await load(files.model);
  const open = (path: string, what: string) =>
    openDataset(path, {
      ...{ directory, what, signal, inputs: inputNames(original) },
      limits: { ...limits, maxSamples: limits.maxCalibrationSamples },
    });
  const made = await compressed(directory);
  const network = prepare(await load(made));
  const calibration = await open(files.calibration, 'calibration');
  const evaluation = await open(files.evaluation, 'evaluation');
  const source = { calibration, images: calibration.count, batch: 32, fixedBatch: null };
  const ready = readyForIntegers(network);
  const moments = await inputMoments(network, source, threads, signal);
  const ofReady = await inputMoments(ready, source, threads, signal);
  const models: Model[] = [];
  const rows: { name: string; bytes: number; seconds: number }[] = [];
  const context = { ...ofReady, bytes: activationBytes(limits), threads, signal };
  for (const { name, weights, weighted, activations } of WAYS.filter((way) => wanted?.includes(way.name) ?? true)) {
    note(name);
    const begun = performance.now();
    const random = (tensor: number) => seededRandom(1, tensor);
    const [plain, { energies }] =
      activations === true ? [await integerNetwork(ready, source, context), ofReady] : [network, moments];
    const coded = codeWeights(plain, weights, { energies: weighted ? energies : new Map(), random });
    const seconds = (performance.now() - begun) / 1000;
    const path = join(directory, `way-${String(models.length)}.${coded.format === 'onnx' ? 'onnx' : 'zip'}`);
    await saveModel(coded, path);
    rows.push({ name, bytes: (await stat(path)).size, seconds });
    models.push(await load(path));
  }
  if (options.onnxruntime === true) {
    note("ONNX Runtime's own");
    const path = join(directory, 'onnxruntime.onnx');
    const { seconds } = (await runPeer(options.python, 'static_quantization.py', [made, files.calibration, path])) as {
      seconds: number;
    };
    rows.push({ name: "ONNX Runtime's static quantization", bytes: (await stat(path)).size, seconds });
    models.push(await load(path));
  }
  note('comparing');
  const comparisons = await compareModels(original, models, evaluation, {
    context: { threads, signal },
    batch: 32,
    progress: () => undefined,
  });
  const spec = { benchmark: { batch_sizes: batches, threads } };
  const latencies = await networkLatencies(original, models, evaluation, {
    threads,
    spec,
    mostWithArena: 1,
    signal,
    progress: () => undefined,
  });
  const before = (await stat(files.model)).size;
  const percent = (value: number | null | undefined) => (value == null ? '-' : (100 * value).toFixed(2));
  console.log(`original: ${String(before)} bytes, accuracy ${percent(comparisons[0]?.accuracy?.before)} %\n`);
  printTable(
    [
      'weights',
      'bytes',
      'original / file',
      'accuracy, %',
      'agreement, %',
      'error',
      ...batches.flatMap((batch) => [`ms at batch ${String(batch)}`, `speed at batch ${String(batch)}`]),
      'coding, s',
    ],
    rows.map(({ name, bytes, seconds }, i) => [
      name,
      bytes,
      `${(before / bytes).toFixed(2)}x`,
      percent(comparisons[i]?.accuracy?.after),
      percent(comparisons[i]?.fidelity.top1_agreement),
      (comparisons[i]?.fidelity.relative_error ?? NaN).toFixed(4),
      ...(latencies[i] ?? []).flatMap(({ after_ms: { p50 }, speedup, speedup_ci95: [low = NaN, high = NaN] }) => [
        p50.toFixed(3),
        `${speedup.toFixed(2)}x (${low.toFixed(2)} to ${high.toFixed(2)})`,
      ]),
      seconds.toFixed(1),
    ]),
  );
  await calibration.close();
  await evaluation.close();
}

printMachine();
const directory = await mkdtemp(join(tmpdir(), 'sparank-bench-coding-'));
try {
  await main(directory);
} finally {
  await rm(directory, { recursive: true, force: true });
}
