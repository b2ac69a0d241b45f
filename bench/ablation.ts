/**
 * The paper's questions, answered with the product's own options: does the sum beat either part, does after-activation
 * beat linear, how far do size and speed go, does structured beat unstructured in speed; symmetric, asymmetric and
 * refit; and the trade-off curves as plots. `npx tsx bench/ablation.ts [model] [options]`; see --help.
 */
import { mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { SpecSchema } from '../src/jobs/spec.js';
import { lowRankShapes } from '../src/models/index.js';
import { addFiles, filesOf } from './support/files.js';
import type { JobOutcome } from './support/job-child.js';
import { runJob, totalSeconds } from './support/run-job.js';
import { writeChart, type Series } from './support/plot.js';
import { note, printMachine, printTable } from './support/table.js';

interface Variant {
  name: string;
  method: Record<string, unknown>;
}

/** The values that the specification allows for the pattern of the sparse part. */
function patterns(): string[] {
  const schema: unknown = JSON.parse(JSON.stringify(SpecSchema.properties.method.properties.pattern));
  const values = (of: unknown): string[] => {
    if (typeof of !== 'object' || of === null) return [];
    if ('const' in of) return [String(of.const)];
    const options = 'anyOf' in of ? of.anyOf : 'enum' in of ? of.enum : [];
    return Array.isArray(options) ? options.flatMap((o: unknown) => (typeof o === 'string' ? [o] : values(o))) : [];
  };
  return values(schema);
}

const DEFAULT: Variant = { name: 'as by default', method: {} };
const LOW_RANK: Variant = { name: 'low-rank only', method: { components: ['low_rank'] } };
const SPARSE: Variant = { name: 'sparse only', method: { components: ['sparse'] } };
const LINEAR: Variant = { name: 'linear', method: { reconstruction: 'linear' } };
const ASYMMETRIC = ['symmetric', 'refit', 'asymmetric'].map((inputs) => ({ name: inputs, method: { inputs } }));
const SHAPES = lowRankShapes.map((shape) => ({
  name: `${shape} only`,
  method: { low_rank_shapes: [shape] },
}));
// Without a low-rank part: what it does to the speed would hide what the pattern does.
const PATTERNS = patterns().map((pattern) => ({
  name: `sparse only, ${pattern}`,
  method: { components: ['sparse'], pattern },
}));

const QUESTIONS: Record<string, { title: string; variants: Variant[] }> = {
  sum: { title: 'Does the sum beat either part?', variants: [LOW_RANK, SPARSE, DEFAULT] },
  activation: { title: 'Does fitting after the activation beat the linear fit?', variants: [LINEAR, DEFAULT] },
  inputs: { title: 'On whose inputs?', variants: ASYMMETRIC },
  shapes: { title: 'Which shape of the low-rank part?', variants: [...SHAPES, DEFAULT] },
  far: { title: 'How far do size and speed go?', variants: [DEFAULT] },
  patterns: { title: 'Is structured faster than unstructured?', variants: PATTERNS },
};

interface Options {
  ratio: string[];
  questions: string[];
  threads: string;
  samples?: string;
  iterations?: string;
  batchSizes: string;
  plots: string;
  name: string;
}

const command = addFiles(new Command('bench/ablation.ts'))
  .option('--ratio <n...>', 'parameter ratios', ['2', '4', '8', '16'])
  .option('--questions <name...>', 'of the tables', Object.keys(QUESTIONS))
  .option('--threads <n>', '0: all cores', '0')
  .option('--samples <n>', 'samples of a layer')
  .option('--iterations <n>', 'of the fit')
  .option('--batch-sizes <list>', 'of the speed measurement', '1,32')
  .option('--plots <folder>', 'for the trade-off curves', fileURLToPath(new URL('../docs/plots/', import.meta.url)))
  .option('--name <name>', 'of the network, in titles and file names', 'demo')
  .parse();
const options = command.opts<Options>();
const files = filesOf(command);
const batches = options.batchSizes.split(',').map(Number);
const ratios = options.ratio.map(Number);
const threads = Number(options.threads) || availableParallelism();

const runs = new Map<string, JobOutcome | string>();

/** Every combination of options is run once, in whichever tables it stands. */
async function outcomeOf({ method }: Variant, ratio: number): Promise<JobOutcome | string> {
  const key = JSON.stringify([defaultsRemoved(method), ratio]);
  let outcome = runs.get(key);
  if (outcome === undefined) {
    note(`${String(ratio)}x ${JSON.stringify(method)}`);
    const spec = {
      target: { parameter_ratio: ratio },
      method: {
        ...method,
        ...(options.samples === undefined ? {} : { samples: Number(options.samples) }),
        ...(options.iterations === undefined ? {} : { max_iterations: Number(options.iterations) }),
      },
      benchmark: { batch_sizes: batches },
    };
    outcome = await runJob({ files, spec, threads }).catch((error: unknown) => String(error));
    runs.set(key, outcome);
  }
  return outcome;
}

/** The options without those that say what the default says: they need not be run a second time. */
function defaultsRemoved(method: Record<string, unknown>): Record<string, unknown> {
  const { properties } = SpecSchema.properties.method;
  return Object.fromEntries(
    Object.entries(method).filter(([name, value]) => {
      const schema: unknown = properties[name as keyof typeof properties];
      const usual = typeof schema === 'object' && schema !== null && 'default' in schema ? schema.default : undefined;
      return JSON.stringify(usual) !== JSON.stringify(value);
    }),
  );
}

const speed = ({ metrics }: JobOutcome, batch: number): number =>
  metrics.latency.find((l) => l.batch === batch)?.speedup ?? NaN;

function row(ratio: number, { name }: Variant, outcome: JobOutcome | string): (string | number)[] {
  const start = [`${String(ratio)}x`, name];
  // Beyond what this variant can reach; the reason is on standard error.
  if (typeof outcome === 'string')
    return [...start, 'cannot be reached', ...Array<string>(5 + batches.length).fill('')];
  const { metrics } = outcome;
  const accuracy = metrics.accuracy ?? { after: NaN, drop: NaN };
  return [
    ...start,
    ...[metrics.parameters, metrics.macs, metrics.bytes].map(({ ratio: reached }) => `${reached.toFixed(2)}x`),
    ...batches.map((batch) => `${speed(outcome, batch).toFixed(2)}x`),
    (100 * accuracy.after).toFixed(2),
    (-100 * accuracy.drop).toFixed(2),
    metrics.fidelity.relative_error.toFixed(4),
    totalSeconds(outcome).toFixed(0),
  ];
}

printMachine();
for (const question of options.questions) {
  const asked = QUESTIONS[question];
  if (asked === undefined) throw new Error(`there is no question ${question}`);
  console.log(`### ${asked.title}\n`);
  if (question === 'patterns' && !patterns().includes('unstructured'))
    console.log('The specification knows no unstructured pattern: that row is left out.\n');
  const rows: (string | number)[][] = [];
  for (const ratio of ratios) {
    for (const variant of asked.variants) rows.push(row(ratio, variant, await outcomeOf(variant, ratio)));
  }
  printTable(
    [
      'asked',
      'variant',
      'parameters',
      'MACs',
      'bytes',
      ...batches.map((batch) => `speed at batch ${String(batch)}`),
      'accuracy %',
      'points',
      'relative error of the outputs',
      'job s',
    ],
    rows,
  );
}

const CURVES = [DEFAULT, LOW_RANK, SPARSE, LINEAR];

/** What has been run, as accuracy over whatever `x` reads. */
function curves(x: (outcome: JobOutcome) => number): Series[] {
  const series: Series[] = [];
  for (const variant of CURVES) {
    const points: Series['points'] = [];
    for (const ratio of ratios) {
      const outcome = runs.get(JSON.stringify([defaultsRemoved(variant.method), ratio]));
      if (outcome === undefined || typeof outcome === 'string' || outcome.metrics.accuracy === null) continue;
      points.push({ x: x(outcome), y: 100 * outcome.metrics.accuracy.after });
    }
    if (points.length > 0) series.push({ name: variant.name, points });
  }
  return series;
}

const dense = [...runs.values()].find((outcome) => typeof outcome !== 'string')?.metrics.accuracy?.before;
if (dense !== undefined) {
  mkdirSync(options.plots, { recursive: true });
  const level = { y: 100 * dense, name: 'the original' };
  const batch = batches.at(-1) ?? 1;
  const plots = [
    ['parameters', 'fewer parameters', (o: JobOutcome) => o.metrics.parameters.ratio],
    ['macs', 'fewer multiply-accumulates', (o: JobOutcome) => o.metrics.macs.ratio],
    ['speed', `faster at batch ${String(batch)}`, (o: JobOutcome) => speed(o, batch)],
  ] as const;
  for (const [what, label, x] of plots) {
    const path = join(options.plots, `${options.name}-${what}.svg`);
    const title = `${options.name}: accuracy without fine-tuning`;
    writeChart(path, curves(x), { title, x: label, y: 'accuracy %', level });
    note(`written: ${path}`);
  }
}
