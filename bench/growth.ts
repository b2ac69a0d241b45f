/**
 * How the time of a job grows with samples, the inputs d of a layer, layers, and workers (1 and 2 measured on the real
 * service, up to 64 simulated by list scheduling of measured task times), each with the fitted exponent.
 * `npx tsx bench/growth.ts [model] [options]`; see --help. The workers need `npm run build`.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { addFiles, filesOf, readTarget, uploadAll, type JobFiles } from './support/files.js';
import type { JobOutcome } from './support/job-child.js';
import { fittedExponent, median } from './support/numbers.js';
import { runJob, totalSeconds } from './support/run-job.js';
import { listSchedule, type Phases } from './support/schedule.js';
import { Service } from './support/service.js';
import { writeSynthetic } from './support/synthetic.js';
import { note, printMachine, printTable } from './support/table.js';

const TAPS = 9;
const MEASURED_WORKERS = [1, 2];
const SIMULATED_WORKERS = [1, 2, 4, 8, 16, 32, 64];
/** At once, in the simulation of a busy pool. */
const JOBS = 16;

const command = addFiles(new Command('bench/growth.ts'))
  .option('--axes <name...>', 'what is varied', ['samples', 'd', 'layers', 'workers'])
  .option('--samples <n...>', 'of every layer of the model', ['500', '1000', '2000', '4000', '8000'])
  .option('--channels <n...>', 'of chains of four 3x3 convolutions; d is nine times that', ['32', '64', '128', '256'])
  .option('--layers <n...>', 'of chains of 3x3 convolutions with 32 channels', ['4', '8', '16', '32'])
  .option('--target <name=value>', 'of all jobs', 'parameter_ratio=4')
  .option('--runs <n>', 'of every job; medians are printed', '3')
  .option('--threads <n>', '0: all cores', '0')
  .parse();
const options = command.opts<
  Record<'axes' | 'samples' | 'channels' | 'layers', string[]> & Record<'target' | 'runs' | 'threads', string>
>();
const files = filesOf(command);
const target = readTarget(options.target);
const runs = Number(options.runs);
const allThreads = Number(options.threads) || availableParallelism();
/** The speed measurement takes its own fixed time, which is not part of what grows. */
const working = (outcome: JobOutcome): number => totalSeconds(outcome) - outcome.seconds.evaluate;

async function jobsOf(files: JobFiles, method: object, threads = allThreads): Promise<JobOutcome[]> {
  const outcomes: JobOutcome[] = [];
  const spec = { target, method, benchmark: { batch_sizes: [1] } };
  for (let run = 0; run < runs; run++) outcomes.push(await runJob({ files, spec, threads }));
  return outcomes;
}

interface Point {
  x: number;
  outcomes: JobOutcome[];
}

function printGrowth(what: string, points: readonly Point[]): void {
  const columns: Record<string, (outcome: JobOutcome) => number> = {
    'inspect s': (o) => o.seconds.inspect,
    'layers s': (o) => o.seconds.layer,
    'assemble s': (o) => o.seconds.assemble,
    'job without evaluation s': working,
  };
  const value = ({ outcomes }: Point, of: (outcome: JobOutcome) => number) => median(outcomes.map(of));
  const rows = points.map((point) => [
    point.x,
    ...Object.values(columns).map((of) => value(point, of).toFixed(2)),
    (value(point, (o) => o.peak) / 2 ** 20).toFixed(0),
  ]);
  const exponents = [...Object.values(columns), (o: JobOutcome) => o.peak].map((of) =>
    points.length < 2 ? '' : fittedExponent(points.map((point) => ({ x: point.x, y: value(point, of) }))).toFixed(2),
  );
  console.log(`### Job time against ${what}\n`);
  printTable([what, ...Object.keys(columns), 'peak MiB'], [...rows, ['fitted exponent', ...exponents]]);
}

async function bySamples(): Promise<void> {
  const points: Point[] = [];
  for (const samples of options.samples.map(Number)) {
    note(`${String(samples)} samples`);
    points.push({ x: samples, outcomes: await jobsOf(files, { samples }) });
  }
  printGrowth('samples', points);
}

async function bySynthetic(what: string, shapes: { x: number; layers: number; channels: number }[]): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'sparank-bench-growth-'));
  try {
    const points: Point[] = [];
    for (const { x, layers, channels } of shapes) {
      note(`${what} ${String(x)}`);
      points.push({ x, outcomes: await jobsOf(await writeSynthetic(folder, layers, channels), {}) });
    }
    printGrowth(what, points);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Task times of one job on one thread: what a worker with one thread would take. */
async function phasesOf(): Promise<Phases> {
  const outcomes = await jobsOf(files, {}, 1);
  const first = outcomes[0];
  if (first === undefined) throw new Error('--runs must be 1 or more');
  const seconds = (kind: keyof JobOutcome['seconds']) => median(outcomes.map((o) => o.seconds[kind]));
  const solved = first.layers.flatMap((row, i) =>
    row.decision === 'compressed' ? [median(outcomes.map((o) => o.layers[i]?.seconds ?? NaN))] : [],
  );
  // A task's own time lacks the reading of its result; the sum over all layers has it.
  const scale = seconds('layer') / solved.reduce((a, b) => a + b, 0);
  return [
    [seconds('inspect')],
    [seconds('plan')],
    solved.map((s) => s * scale),
    [seconds('assemble')],
    [seconds('evaluate')],
  ];
}

async function measuredSeconds(workers: number): Promise<number> {
  const { service } = await Service.start();
  try {
    const sources = await uploadAll(service.client, files);
    const spec = { ...sources, target, benchmark: { batch_sizes: [1] } };
    const parts = Array.from({ length: workers }, () => service.startWorker({ THREADS: '1' }));
    const times: number[] = [];
    // Every worker has its files and a warm compute process after the first.
    for (let run = 0; run <= runs; run++) {
      const job = await service.run(spec);
      if (run > 0) times.push((Date.parse(job.finished_at ?? '') - Date.parse(job.started_at ?? '')) / 1000);
    }
    for (const part of parts) await part.stop();
    return median(times);
  } finally {
    await service.close();
  }
}

async function byWorkers(): Promise<void> {
  note('task times on one thread');
  const phases = await phasesOf();
  const measured = new Map<number, number>();
  for (const workers of MEASURED_WORKERS) {
    note(`${String(workers)} workers, measured`);
    measured.set(workers, await measuredSeconds(workers));
  }
  const rows = SIMULATED_WORKERS.map((workers) => ({
    workers,
    one: Math.max(...listSchedule([phases], workers)),
    many: Math.max(...listSchedule(Array<Phases>(JOBS).fill(phases), workers)),
  }));
  const [first] = rows;
  const flat = phases.flat();
  const [total, longest] = [flat.reduce((a, b) => a + b, 0), phases.reduce((sum, p) => sum + Math.max(0, ...p), 0)];
  console.log('### Job time against workers of one thread each\n');
  console.log(
    `${String(phases[2]?.length ?? 0)} layers. Task times of one job add up to ${total.toFixed(1)} s; one after the other that ` +
      `cannot run at the same time are ${longest.toFixed(1)} s of them. Simulated: list scheduling of the task times, without ` +
      'the queue and the transfer of files; measured: the service.\n',
  );
  printTable(
    [
      'workers',
      'one job, measured s',
      'one job, simulated s',
      'faster',
      `${String(JOBS)} jobs at once, simulated s`,
      'faster',
    ],
    [
      ...rows.map(({ workers, one, many }) => [
        workers,
        measured.get(workers)?.toFixed(1) ?? '',
        one.toFixed(1),
        `${((first?.one ?? NaN) / one).toFixed(2)}x`,
        many.toFixed(1),
        `${((first?.many ?? NaN) / many).toFixed(2)}x`,
      ]),
      [
        'fitted exponent',
        fittedExponent([...measured].map(([x, y]) => ({ x, y }))).toFixed(2),
        fittedExponent(rows.map(({ workers: x, one: y }) => ({ x, y }))).toFixed(2),
        '',
        fittedExponent(rows.map(({ workers: x, many: y }) => ({ x, y }))).toFixed(2),
        '',
      ],
    ],
  );
}

printMachine();
const channels = options.channels.map(Number);
const layers = options.layers.map(Number);
for (const axis of options.axes) {
  if (axis === 'samples') await bySamples();
  else if (axis === 'd')
    await bySynthetic(
      'd',
      channels.map((c) => ({ x: c * TAPS, layers: 4, channels: c })),
    );
  else if (axis === 'layers')
    await bySynthetic(
      'layers',
      layers.map((l) => ({ x: l, layers: l, channels: 32 })),
    );
  else if (axis === 'workers') await byWorkers();
  else throw new Error(`--axes: ${axis} is not known`);
}
