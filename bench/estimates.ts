/**
 * Is the told rest of a job right? Jobs of other people's networks, and what each told of its end while it ran.
 * `npx tsx bench/estimates.ts FOLDER [options]`; see --help.
 */
import { Command } from 'commander';
import { demonstration, networksIn, type ForeignNetwork } from './elsewhere/networks.js';
import { readEffort, readTarget } from './support/files.js';
import type { JobOutcome } from './support/job-child.js';
import { runJob, totalSeconds } from './support/run-job.js';
import { note, printMachine, printTable } from './support/table.js';

interface Options {
  demo: boolean;
  only?: string[];
  target: string[];
  effort: string[];
  limit: string;
  phases: boolean;
}

const command = new Command('bench/estimates.ts')
  .argument('<folder>', 'a folder of folders, each with model.onnx, calibration.npz, evaluation.npz')
  .option('--no-demo', 'without the demonstration network')
  .option('--only <name...>', 'networks whose name contains one of these')
  .option('--target <name=value...>', 'a job for each', ['parameter_ratio=2', 'speedup=1.3', 'max_relative_error=0.2'])
  .option('--effort <how...>', 'a job for each', ['quick', 'standard'])
  .option('--limit <seconds>', 'a job that takes longer is stopped', '900')
  .option('--phases', 'expected and measured seconds of every phase')
  .parse();
const options = command.opts<Options>();

/** What is told before is noise, and says so. */
const FROM = 0.1;
const NEAR = 0.25;

interface Told {
  job: string;
  seconds: number;
  /** The told end over the true one: at a tenth and a half of the job, and where it was most wrong from the tenth on. */
  atTenth: number;
  atHalf: number;
  worst: number;
}

function toldBy(job: string, outcome: JobOutcome): Told {
  const seconds = totalSeconds(outcome);
  const ends = outcome.told
    .filter(({ at }) => at >= FROM * seconds)
    .map(({ at, left }) => ({ at, end: (at + left) / seconds }));
  const endAt = (share: number) => ends.find(({ at }) => at >= share * seconds)?.end ?? NaN;
  const off = (end: number) => Math.abs(Math.log(end));
  const worst = ends.reduce((most, { end }) => (off(end) > off(most) ? end : most), 1);
  return { job, seconds, atTenth: endAt(FROM), atHalf: endAt(0.5), worst };
}

async function told(network: ForeignNetwork, target: string, effort: string): Promise<Told | null> {
  const job = `${network.name}, ${target}, ${effort}`;
  note(job);
  // Of labels nothing is asked: without them every network has the same targets.
  const files = { model: network.model, calibration: network.calibration, evaluation: null };
  const spec = { target: readTarget(target), effort: readEffort(effort) };
  try {
    const outcome = await runJob({ files, spec, threads: 0, limitSeconds: Number(options.limit) });
    const result = toldBy(job, outcome);
    note(
      `  ${[result.seconds, result.atTenth, result.atHalf, result.worst].map((value) => value.toFixed(2)).join(' | ')}`,
    );
    if (options.phases) note(`  ${phasesOf(outcome)}`);
    return result;
  } catch (error) {
    note(`  ${error instanceof Error ? error.message : String(error)}`);
    return null;
  }
}

function phasesOf({ expected, seconds }: JobOutcome): string {
  const measured = { ...seconds, layers: seconds.layer };
  const phases = ['inspect', 'plan', 'layers', 'assemble', 'evaluate'] as const;
  return phases
    .map((phase) => `${phase} ${expected?.[phase].toFixed(1) ?? '?'} -> ${measured[phase].toFixed(1)}`)
    .join(', ');
}

printMachine();
const networks = [...networksIn(String(command.processedArgs[0])), ...(options.demo ? [demonstration()] : [])].filter(
  ({ name }) => options.only?.some((part) => name.includes(part)) ?? true,
);
const rows: Told[] = [];
for (const network of networks)
  for (const target of options.target)
    for (const effort of options.effort) {
      const row = await told(network, target, effort);
      if (row !== null) rows.push(row);
    }
printTable(
  ['job', 'seconds', 'told end over the true one, at a tenth', 'at a half', 'worst from the tenth on'],
  rows.map(({ job, seconds, atTenth, atHalf, worst }) => [
    job,
    seconds.toFixed(0),
    ...[atTenth, atHalf, worst].map((value) => value.toFixed(2)),
  ]),
);
const isNear = (end: number) => end >= 1 - NEAR && end <= 1 + NEAR;
const near = rows.filter(({ atTenth }) => isNear(atTenth)).length;
const always = rows.filter(({ worst }) => isNear(worst)).length;
note(`within a quarter at a tenth of the job: ${near} of ${rows.length}; from there on at every moment: ${always}`);
