import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { writeNpz } from '../../src/datasets/index.js';
import type { Metrics } from '../../src/jobs/results.js';
import { seededRandom } from '../../src/pipeline/network/random.js';

/**
 * Compresses every model that export.py wrote with the command line, in a process of its own, and lets Python's onnx
 * and onnxruntime judge the result and its report (test/independent/verify.py: checker, inputs and outputs, counts,
 * batch sizes).
 *
 *     npm run build && npx tsx test/exports/compress.ts FOLDER --python PATH/TO/python [--only resnet18,alexnet]
 *
 * The weights are random, so the numbers say nothing of accuracy; wall time and peak memory are real.
 */

const ROOT = join(import.meta.dirname, '..', '..');
const IMAGES = 16;
/** Depthwise layers stay dense, and most of MobileNetV2's other layers are small. */
const RATIOS: Record<string, string> = { mobilenet_v2: '1.2' };
/** The largest network last. */
const last = (name: string) => (name.startsWith('vgg') ? 1 : 0);
/** Runs before the program and makes it tell its peak when it ends. */
const TELL_PEAK = 'data:text/javascript,process.on("exit",()=>console.error("peak "+process.resourceUsage().maxRSS))';

interface Ran {
  code: number | null;
  stdout: string;
  stderr: string;
  seconds: number;
}

function run(command: string, args: string[]): Promise<Ran> {
  const started = performance.now();
  const child = spawn(command, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      resolve({ code, stdout, stderr, seconds: (performance.now() - started) / 1000 });
    });
  });
}

/** Neighbouring pixels alike, as in photographs: a coarse pattern with noise on it. */
async function writeImages(path: string): Promise<void> {
  const random = seededRandom(1, 1);
  const side = 224;
  const coarse = 14;
  const data = new Float32Array(IMAGES * 3 * side * side);
  for (let plane = 0; plane < IMAGES * 3; plane++) {
    const pattern = Float32Array.from({ length: (side / coarse) ** 2 }, () => 4 * random() - 2);
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < side; x++) {
        const cell = Math.floor(y / coarse) * (side / coarse) + Math.floor(x / coarse);
        data[plane * side * side + y * side + x] = (pattern[cell] ?? 0) + random() - 0.5;
      }
    }
  }
  await writeNpz(path, { x: { dims: [IMAGES, 3, side, side], data } });
}

/** @returns whether all of it holds */
async function compress(folder: string, file: string, scratch: string): Promise<boolean> {
  const output = join(scratch, file);
  const ratio = Object.entries(RATIOS).find(([name]) => file.startsWith(name))?.[1] ?? '2';
  const program = ['dist/cli/main.js', 'compress', join(folder, file), '--calibration', join(scratch, 'images.npz')];
  const options = ['--target', `parameter_ratio=${ratio}`, '--samples', values.samples, '--batch-sizes', '1'];
  const rest = ['--iterations', values.iterations, '--output', output, '--json'];
  const { code, stdout, stderr, seconds } = await run(process.execPath, [
    '--import',
    TELL_PEAK,
    ...program,
    ...options,
    ...rest,
  ]);
  const peak = Number(/peak (\d+)/.exec(stderr)?.[1]) / 2 ** 20;
  const cost = `${seconds.toFixed(0)} s, peak ${peak.toFixed(2)} GiB`;
  if (code !== 0) {
    console.log(`${file}: WRONG, exit code ${String(code)}, ${cost}\n${stdout}${stderr}`);
    return false;
  }
  const result = JSON.parse(stdout) as { metrics: Metrics; artifacts: string[]; seconds: Record<string, number> };
  const model = result.artifacts.find((name) => name.startsWith('model.')) ?? '';
  const judged = await run(values.python, [
    'test/independent/verify.py',
    ...['--original', join(folder, file), '--compressed', join(output, model)],
    ...['--report', join(output, 'report.json')],
  ]);
  const { layers } = JSON.parse(await readFile(join(output, 'report.json'), 'utf8')) as {
    layers: { decision: string }[];
  };
  const compressed = layers.filter(({ decision }) => decision === 'compressed').length;
  const steps = Object.entries(result.seconds).map(([name, value]) => `${name} ${value.toFixed(0)}`);
  console.log(
    `${file}: ${judged.code === 0 ? 'verified' : 'WRONG'}, ${String(compressed)} of ${String(layers.length)} layers compressed, ` +
      `${result.metrics.parameters.ratio.toFixed(2)}x parameters, ${result.metrics.macs.ratio.toFixed(2)}x MACs, ` +
      `${result.metrics.speedup.toFixed(2)}x speed, ${cost} (${steps.join(', ')})`,
  );
  if (judged.code !== 0) console.log(judged.stdout + judged.stderr);
  return judged.code === 0;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    python: { type: 'string', default: 'python3' },
    only: { type: 'string', default: '' },
    samples: { type: 'string', default: '500' },
    iterations: { type: 'string', default: '10' },
  },
});
const [folder] = positionals;
if (folder === undefined) throw new Error('usage: compress.ts FOLDER --python PATH');
const wanted = values.only.split(',');
const files = (await readdir(folder))
  .filter((name) => /\.(onnx|zip)$/.test(name) && wanted.some((part) => name.includes(part)))
  .sort((a, b) => last(a) - last(b) || a.localeCompare(b));
if (files.length === 0) throw new Error(`no models in ${folder}: run export.py first`);
const scratch = await mkdtemp(join(folder, '.compress-'));
try {
  await writeImages(join(scratch, 'images.npz'));
  let good = 0;
  for (const file of files) {
    if (await compress(folder, file, scratch)) good += 1;
    await rm(join(scratch, file), { recursive: true, force: true });
  }
  console.log(`${String(good)} of ${String(files.length)} models compressed and verified`);
  if (good < files.length) process.exitCode = 1;
} finally {
  await rm(scratch, { recursive: true, force: true });
}
