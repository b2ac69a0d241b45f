/**
 * A GPU engine beside the CPU's: products (sent with every call, and with a held operand), Gram matrices and whole
 * solves of layers, and how well both agree. `npx tsx bench/engines.ts [--engine webgpu] [--threads 0] [--largest
 * 512]`; prints Markdown tables.
 */
import { parseArgs } from 'node:util';
import { layerStatistics, solveLayer } from '../src/compression/index.js';
import { normals, seededRandom } from '../src/compression/linalg/random.js';
import { createEngine, matrix, type Engine, type EngineChoice, type Matrix } from '../src/engines/index.js';
import { createWebgpuEngine } from '../src/engines/webgpu/engine.js';
import { median, mib } from './support/numbers.js';
import { note, printMachine, printTable } from './support/table.js';
import { CONVOLUTIONS, problemOf, type LayerShape } from './support/vgg-like.js';

const { values } = parseArgs({
  options: {
    engine: { type: 'string', default: 'webgpu' },
    threads: { type: 'string', default: '0' },
    runs: { type: 'string', default: '5' },
    /** Layers of so many outputs. */
    smallest: { type: 'string', default: '1' },
    largest: { type: 'string', default: '4096' },
  },
});
const RUNS = Number(values.runs);
const ITERATIONS = 30;
const SHAPES: LayerShape[] = [...CONVOLUTIONS, { m: 4096, channels: 9216, taps: 1, samples: 2500, rank: 128 }].filter(
  ({ m }) => m >= Number(values.smallest) && m <= Number(values.largest),
);

const threads = Number(values.threads);
const create = (choice: string) => createEngine(choice as EngineChoice, { threads });

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** Milliseconds: the first call, which compiles and allocates, and the median of those after it. */
async function repeated(work: () => Promise<unknown>): Promise<{ first: number; usual: number }> {
  const first = await timed(work);
  const rest: number[] = [];
  for (let i = 0; i < (first > 5000 ? 1 : RUNS); i++) rest.push(await timed(work));
  return { first, usual: median(rest) };
}

/** The largest difference of some entries of op(x) wᵀ from the same in double precision, over the largest entry. */
function worst(got: Matrix, x: Matrix, w: Matrix): number {
  const random = seededRandom(3);
  let difference = 0;
  let scale = 0;
  for (let i = 0; i < 2000; i++) {
    const r = Math.floor(random() * x.rows);
    const c = Math.floor(random() * w.rows);
    let sum = 0;
    for (let k = 0; k < x.cols; k++) sum += (x.data[r * x.cols + k] as number) * (w.data[c * w.cols + k] as number);
    difference = Math.max(difference, Math.abs((got.data[r * got.cols + c] as number) - sum));
    scale = Math.max(scale, Math.abs(sum));
  }
  return difference / scale;
}

const ratio = (slow: number, fast: number): string => `${(slow / fast).toFixed(2)}x`;
const ms = (value: number): string => value.toFixed(value < 10 ? 2 : 0);

async function products(name: string, device: Engine, host: Engine): Promise<void> {
  const rows: (string | number)[][] = [];
  for (const { m, channels, taps, samples } of SHAPES) {
    const d = channels * taps;
    note(`products ${m} x ${d}`);
    const random = seededRandom(d);
    const x = matrix(samples, d, normals(samples * d, random));
    const w = matrix(m, d, normals(m * d, random));
    const gflop = (2 * samples * d * m) / 1e9;
    const cpu = await repeated(() => host.multiply(x, w, { transposeB: true }));
    const sent = await repeated(() => device.multiply(x, w, { transposeB: true }));
    const held = device.hold(x);
    const kept = await repeated(() => device.multiply(held, w, { transposeB: true }));
    const error = worst(await device.multiply(held, w, { transposeB: true }), x, w);
    held.dispose();
    const cpuGram = m > 1000 ? NaN : (await repeated(() => host.gram(x))).usual;
    const gram = m > 1000 ? NaN : (await repeated(() => device.gram(x))).usual;
    rows.push([
      `${m} x ${d}`,
      samples,
      gflop.toFixed(1),
      ms(cpu.usual),
      ms(sent.usual),
      ms(kept.usual),
      (gflop / kept.usual).toFixed(2),
      ratio(cpu.usual, kept.usual),
      error.toExponential(1),
      ms(cpuGram),
      ms(gram),
    ]);
  }
  printTable(
    [
      'layer',
      'samples',
      'GFLOP',
      'CPU ms',
      `${name} ms`,
      'held ms',
      'held TFLOP/s',
      'CPU / held',
      'error',
      'Gram CPU ms',
      `Gram ${name} ms`,
    ],
    rows,
  );
}

async function solves(engines: Record<string, Engine>): Promise<void> {
  const rows: (string | number)[][] = [];
  for (const shape of SHAPES) {
    const problem = problemOf(shape);
    let baseline = NaN;
    for (const [name, engine] of Object.entries(engines)) {
      const statistics: number[] = [];
      const seconds: number[] = [];
      let error = NaN;
      for (let run = 0; run < (shape.m > 500 ? 1 : 3); run++) {
        statistics.push(await timed(() => layerStatistics(engine, problem, { components: ['low_rank'], seed: 1 })));
        seconds.push(
          await timed(async () => {
            const { diagnostics } = await solveLayer(
              engine,
              problem,
              { rank: shape.rank, groups: 0 },
              { reconstruction: 'after_activation', maxIterations: ITERATIONS, seed: 1 },
            );
            error = diagnostics.relativeError;
          }),
        );
      }
      note(
        `${name}: ${shape.m} x ${shape.channels * shape.taps}, ${ms(median(statistics))} + ${ms(median(seconds))} ms`,
      );
      const total = median(statistics) + median(seconds);
      if (Number.isNaN(baseline)) baseline = total;
      rows.push([
        `${shape.m} x ${shape.channels * shape.taps}`,
        name,
        (median(statistics) / 1e3).toFixed(2),
        (median(seconds) / 1e3).toFixed(2),
        ratio(baseline, total),
        error.toFixed(5),
        mib(process.memoryUsage.rss()),
      ]);
    }
  }
  printTable(['layer', 'engine', 'statistics s', 'solve s', 'CPU / this', 'error', 'process MiB'], rows);
}

printMachine();
const host = await create('onnxruntime');
const begun = performance.now();
const device = await create(values.engine);
console.log(
  `${device.name} on ${device.device} beside onnxruntime, ${host.threads} threads; made in ${ms(performance.now() - begun)} ms\n`,
);
/** All of it on the device, however small. */
const everything = values.engine === 'webgpu' ? await createWebgpuEngine(threads, () => true) : device;
await products(values.engine, everything, host);
await solves({
  CPU: host,
  ...(everything === device ? {} : { 'all on the GPU': everything }),
  [values.engine]: device,
});
for (const engine of new Set([host, device, everything])) await engine.dispose();
