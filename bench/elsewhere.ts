/**
 * Networks that other people made: a job for each that is given calibration data alone, and what comes out of it measured afterwards on
 * the evaluation data, by this bench. `npx tsx bench/elsewhere.ts FOLDER [options]`; see --help.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { demonstration, networksIn, readNetwork, type ForeignNetwork } from './elsewhere/networks.js';
import { readNpz } from './elsewhere/npz.js';
import { outputsOf, speedsOf } from './elsewhere/sessions.js';
import { columns, rowOf, type Row } from './elsewhere/table.js';
import { agreementOf, guessTask, holdClasses, measureTask, relativeError } from './elsewhere/tasks.js';
import { readTarget, readEffort } from './support/files.js';
import { runJob, totalSeconds } from './support/run-job.js';
import { note, printMachine, printTable, tableOf } from './support/table.js';

interface Options {
  also: string[];
  demo: boolean;
  only?: string[];
  target: string[];
  constraint: string[];
  effort: string;
  threads: string;
  batchSizes: string;
  limit: string;
  output?: string;
}

const command = new Command('bench/elsewhere.ts')
  .argument('<folder>', 'a folder of folders, each with model.onnx, calibration.npz, evaluation.npz (and task.json)')
  .option('--also <name:model,calibration,evaluation...>', 'further networks', [])
  .option('--no-demo', 'without the demonstration network')
  .option('--only <name...>', 'networks whose name contains one of these')
  .option('--target <name=value...>', 'a job for each', ['parameter_ratio=2'])
  .option('--constraint <name=value...>', 'of every job', [])
  .option('--effort <how>', 'of every job: quick, standard, thorough or seconds', 'standard')
  .option('--threads <n>', '0: all cores', '0')
  .option('--batch-sizes <list>', 'of the speed measured here', '1,32')
  .option('--limit <seconds>', 'a job that takes longer is stopped', '1800')
  .option('--output <folder>', 'keeps elsewhere.md, elsewhere.json and the models')
  .parse();
const options = command.opts<Options>();
const threads = Number(options.threads) || availableParallelism();
const kept = options.output;
if (kept !== undefined) mkdirSync(kept, { recursive: true });
const work = mkdtempSync(join(kept ?? tmpdir(), 'sparank-elsewhere-'));

const networks = [
  ...networksIn(String(command.processedArgs[0])),
  ...options.also.map(readNetwork),
  ...(options.demo ? [demonstration()] : []),
].filter(({ name }) => options.only?.some((part) => name.includes(part)) ?? true);

async function measure(network: ForeignNetwork, target: string): Promise<Row> {
  const output = join(work, `${network.name}-${target.replace('=', '-')}`);
  const effort = readEffort(options.effort);
  const constraints = Object.assign({}, ...options.constraint.map(readTarget)) as Record<string, number>;
  const row: Row = { network: network.name, target, load: loadavg()[0] ?? NaN };
  const job = runJob({
    files: { model: network.model, calibration: network.calibration, evaluation: null },
    spec: { target: readTarget(target), constraints, effort },
    threads: Number(options.threads),
    output,
    limitSeconds: Number(options.limit),
  });
  const outcome = await job.catch((error: unknown) => {
    row.failed = error instanceof Error ? error.message : String(error);
    return null;
  });
  if (outcome === null) return row;
  const [point] = outcome.points;
  row.job = {
    metrics: outcome.metrics,
    verdict: point?.verdict ?? null,
    seconds: totalSeconds(outcome),
    steps: outcome.seconds,
    processor: Object.values(outcome.processor).reduce((sum, value) => sum + value, 0),
    peak: outcome.peak,
  };
  const compressed = join(output, point?.model ?? 'model.onnx');
  if (!existsSync(compressed)) return row;
  const data = await readNpz(network.evaluation);
  const compared = {
    original: await outputsOf(network.model, data, threads),
    compressed: await outputsOf(compressed, data, threads),
    data,
  };
  const task = network.task ?? guessTask(compared);
  row.fresh = {
    samples: compared.original[0]?.shape[0] ?? 0,
    error: relativeError(compared),
    // Where the job reports one it is measured too, whatever the outputs look like.
    agreement: outcome.metrics.fidelity.top1_agreement !== null || holdClasses(compared) ? agreementOf(compared) : null,
    task: { ...task, ...measureTask(task, compared) },
  };
  const batches = options.batchSizes.split(',').map(Number);
  row.speed = await speedsOf([network.model, compressed], data, { threads, batches });
  return row;
}

printMachine();
const rows: Row[] = [];
try {
  for (const network of networks) {
    for (const target of options.target) {
      note(`${network.name}, ${target}`);
      const row = await measure(network, target).catch((error: unknown): Row => {
        return { network: network.name, target, load: NaN, failed: `not measured: ${String(error)}` };
      });
      rows.push(row);
      note(`  ${rowOf(row).slice(2).join(' | ')}`);
      // Written after every network: a long run that is stopped keeps what it has.
      if (kept === undefined) continue;
      writeFileSync(join(kept, 'elsewhere.json'), JSON.stringify(rows, null, 2));
      writeFileSync(join(kept, 'elsewhere.md'), tableOf(columns, rows.map(rowOf)));
    }
  }
} finally {
  if (kept === undefined) rmSync(work, { recursive: true, force: true });
}
printTable(columns, rows.map(rowOf));
