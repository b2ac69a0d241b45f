/**
 * TensorFlow.js models of other people through the command line, and what a plain user of TensorFlow.js then finds: the same outputs
 * before, the numbers of the report after. `npx tsx bench/tfjs.ts FOLDER --pictures calibration.npz evaluation.npz`; see --help.
 */
import { spawnSync } from 'node:child_process';
import { createWriteStream, mkdirSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { Command } from 'commander';
import { ZipFile } from 'yazl';
import type { LocalResult } from '../src/pipeline/local.js';
import { loadModel, Runner } from '../src/models/index.js';
import { readNpz, type NpzArray } from './elsewhere/npz.js';
import type { Outputs } from './elsewhere/sessions.js';
import { agreementOf, relativeError } from './elsewhere/tasks.js';
import { note, printMachine, printTable, tableOf } from './support/table.js';
import { framed, writePictures } from './tfjs/pictures.js';
import { folderFiles, openPlain, outputsOf, speedOf, useWasm, zipFiles, type PlainModel } from './tfjs/plain.js';

interface Options {
  pictures: [string, string];
  range: string[];
  count: string;
  side: string;
  only?: string[];
  target: string[];
  more: string;
  output?: string;
}

const command = new Command('bench/tfjs.ts')
  .argument('<folder>', 'a folder of folders, each a TensorFlow.js model: a .json and its shards')
  .requiredOption('--pictures <npz...>', 'two files with pictures `x`, [samples, height, width, 3] in 0..1')
  .option('--range <name=low,high...>', 'of the pixels of the networks whose name contains it; default: 0,1', [])
  .option('--count <n>', 'pictures of each kind', '24')
  .option('--side <n>', 'of the pictures where a network takes any size', '48')
  .option('--only <name...>', 'networks whose name contains one of these')
  .option('--target <name=value...>', 'points of the job', ['parameter_ratio=1.5', 'parameter_ratio=2'])
  .option('--more <options>', 'further options of the command', '--batch-sizes 1')
  .option('--output <folder>', 'keeps models, reports and the table')
  .parse();
const options = command.opts<Options>();
const folder = String(command.processedArgs[0]);
const work = options.output ?? mkdtempSync(join(tmpdir(), 'sparank-tfjs-'));
mkdirSync(work, { recursive: true });

const LIMITS = {
  ...{ maxArchiveEntries: 10_000, maxArchiveRatio: 1000, maxModelBytes: 2 ** 31 },
  ...{ maxGraphNodes: 50_000, maxTensorElements: 2 ** 30 },
};
const ROOT = join(import.meta.dirname, '..');
const columns = [
  ...['model', 'target', 'verdict', 'parameters', 'numbers in the shards', 'file', 'largest difference before'],
  ...['error: report', 'error: TensorFlow.js', 'agreement: report', 'agreement: TensorFlow.js'],
  ...['speed: report', 'speed: wasm, here', 'seconds'],
];

async function zip(path: string, files: ReadonlyMap<string, Buffer>): Promise<void> {
  const archive = new ZipFile();
  for (const [name, bytes] of files) archive.addBuffer(bytes, name);
  archive.end();
  await pipeline(archive.outputStream, createWriteStream(path));
}

/** Largest difference between the product's network and TensorFlow.js, in parts of the range of an output. */
async function differenceBefore(model: string, expected: Outputs, { shape, data }: NpzArray): Promise<number> {
  const read = await loadModel(model, { directory: mkdtempSync(join(work, 'read-')), limits: LIMITS });
  const runner = await Runner.open(read, { threads: 0 });
  const name = runner.inputs[0]?.name ?? '';
  const found = await runner.run(new Map([[name, { dims: shape, data }]]));
  await runner.release();
  const differences = read.graph.output.map(({ name: output }, i) => {
    const ours = found.get(output)?.data as Float32Array | undefined;
    const theirs = expected[i]?.data ?? new Float32Array();
    let [low, high, most] = [Infinity, -Infinity, 0];
    theirs.forEach((value, k) => {
      [low, high] = [Math.min(low, value), Math.max(high, value)];
      most = Math.max(most, Math.abs(value - (ours?.[k] ?? Infinity)));
    });
    return most / (high - low);
  });
  return Math.max(...differences);
}

function frameOf(name: string, model: PlainModel) {
  const [, height, width, channels] = model.input;
  const side = Number(options.side);
  const range = options.range.map((text) => text.split('=')).find(([part = '']) => name.includes(part))?.[1] ?? '0,1';
  const [low = 0, high = 1] = range.split(',').map(Number);
  return { height: height ?? side, width: width ?? side, channels: channels ?? 3, low, high };
}

async function measure(name: string): Promise<string[][]> {
  const own = join(work, name);
  mkdirSync(own, { recursive: true });
  const files = folderFiles(join(folder, name), readdirSync(join(folder, name)));
  const [sent, sheet, fresh] = [join(own, 'sent.zip'), join(own, 'calibration.npz'), join(own, 'evaluation.npz')];
  await zip(sent, files);
  const original = await openPlain(files);
  const [calibration, evaluation] = await Promise.all(
    options.pictures.map(async (path) => {
      const pictures = (await readNpz(path)).get('x');
      if (pictures === undefined) throw new Error(`${path} has no array x`);
      return framed(pictures, Number(options.count), frameOf(name, original));
    }),
  );
  if (calibration === undefined || evaluation === undefined) throw new Error('two files of pictures are needed');
  await writePictures(sheet, calibration);
  await writePictures(fresh, evaluation);
  const before = outputsOf(original, evaluation);
  const few = {
    shape: [2, ...evaluation.shape.slice(1)],
    data: evaluation.data.subarray(0, (2 * evaluation.data.length) / (evaluation.shape[0] ?? 1)),
  };
  const difference = await differenceBefore(sent, outputsOf(original, few), few);
  note(`${name}: read, ${difference.toExponential(1)}`);
  const begun = performance.now();
  const args = ['compress', sent, '--calibration', sheet, '--evaluation', fresh, '--output', own, '--json'];
  const targets = options.target.flatMap((target) => ['--target', target]);
  const ran = spawnSync('npx', ['tsx', 'src/cli/main.ts', ...args, ...targets, ...options.more.split(' ')], {
    ...{ cwd: ROOT, encoding: 'utf8', maxBuffer: 2 ** 28 },
  });
  const seconds = (performance.now() - begun) / 1000;
  if (!ran.stdout.startsWith('{')) throw new Error(ran.stderr.slice(-2000));
  const { points } = JSON.parse(ran.stdout) as LocalResult;
  writeFileSync(join(own, 'result.json'), ran.stdout);
  const rows: string[][] = [];
  for (const { target, model, metrics, verdict } of points) {
    const asked = Object.entries(target).map(([key, value]) => `${key} ${String(value)}`);
    if (model === null || metrics === null) continue;
    const compressed = await openPlain(await zipFiles(join(own, model)));
    const compared = {
      original: before,
      compressed: outputsOf(compressed, evaluation),
      data: new Map<string, NpzArray>(),
    };
    const [was = NaN, is = NaN] = speedOf([original, compressed], evaluation);
    const share = (part: number | null) => (part === null ? '' : `${(100 * part).toFixed(1)} %`);
    const { top1_agreement: agreement, relative_error: error } = metrics.fidelity;
    rows.push([
      ...[name, asked.join(', '), verdict?.passed === true ? 'passed' : 'failed'],
      `${metrics.parameters.ratio.toFixed(2)}x`,
      `${(original.weights / compressed.weights).toFixed(2)}x`,
      `${metrics.bytes.ratio.toFixed(2)}x`,
      difference.toExponential(1),
      ...[error.toFixed(4), relativeError(compared).toFixed(4)],
      ...[share(agreement), agreement === null ? '' : share(agreementOf(compared))],
      `${metrics.speedup.toFixed(2)}x`,
      `${(was / is).toFixed(2)}x (${was.toFixed(1)} to ${is.toFixed(1)} ms)`,
      seconds.toFixed(0),
    ]);
    compressed.dispose();
  }
  original.dispose();
  return rows;
}

printMachine();
await useWasm();
const names = readdirSync(folder).filter((name) => options.only?.some((part) => name.includes(part)) ?? true);
const rows: string[][] = [];
for (const name of names) {
  try {
    rows.push(...(await measure(name)));
  } catch (error) {
    rows.push([name, 'FAILED', String(error), ...columns.slice(3).map(() => '')]);
    process.exitCode = 1;
  }
  note(rows.at(-1)?.join(' | ') ?? '');
  writeFileSync(join(work, 'tfjs.md'), tableOf(columns, rows));
}
printTable(columns, rows);
