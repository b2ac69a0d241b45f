/**
 * Curves of what is lost over what is gained: for each network accuracy (or agreement, or error) over speed and over bytes, of jobs with
 * ladders of targets and of other methods on the same data, all files measured by one evaluator on data that none of them was given.
 * `npx tsx bench/trade-offs.ts [FOLDER|MODEL...] [options]`; see --help.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { demonstration, networksIn, readNetwork, type ForeignNetwork } from './elsewhere/networks.js';
import { readEffort } from './support/files.js';
import { addPython, reasonOf } from './support/python.js';
import { note, printMachine, tableOf } from './support/table.js';
import { evaluatorOf, type Point } from './trade-offs/measure.js';
import { laddersOf, madeBy, nameOfLadder, ours, peers, type Candidate } from './trade-offs/methods.js';
import { writePlots } from './trade-offs/plots.js';
import { columnsFor, rowOf } from './trade-offs/table.js';

const TARGETS = ['parameter_ratio=2 4 8', 'bytes_ratio=4 8 16', 'speedup=1.5 2 3'].flatMap((ladder) => {
  const [name = '', values = ''] = ladder.split('=');
  return values.split(' ').map((value) => `${name}=${value}`);
});

interface Options {
  calibration?: string;
  evaluation?: string;
  only?: string[];
  targets: string[];
  effort: string;
  peers: string[] | false;
  ratios: string[];
  peerSeconds: string;
  python: string;
  threads: string;
  batchSizes: string;
  limit: string;
  plots: string;
  output?: string;
  redraw: boolean;
}

const command = addPython(new Command('bench/trade-offs.ts'))
  .argument(
    '[networks...]',
    'folders as bench/elsewhere.ts takes them, name:model,calibration,evaluation, or models with --calibration and --evaluation; default: the demonstration network',
  )
  .option('--calibration <file.npz>', 'of the models')
  .option('--evaluation <file.npz>', 'of the models; no method is given it')
  .option('--only <name...>', 'networks whose name contains one of these')
  .option('--targets <name=value...>', 'a job for all targets of a name', TARGETS)
  .option('--effort <how>', 'of every job: quick, standard, thorough or seconds', 'standard')
  .option('--peers <name...>', 'other methods', Object.keys(peers))
  .option('--no-peers', 'only jobs')
  .option('--ratios <n...>', 'parameter ratios of the other methods', ['2', '4', '8'])
  .option('--peer-seconds <n>', 'of the processor, that a method which trains may take for a point', '720')
  .option('--threads <n>', '0: all cores', '0')
  .option('--batch-sizes <list>', 'of the speed', '1,32')
  .option('--limit <seconds>', 'a job that takes longer is stopped', '5400')
  .option(
    '--plots <folder>',
    'for NETWORK-speed.svg and others',
    fileURLToPath(new URL('../docs/plots/', import.meta.url)),
  )
  .option('--output <file.json>', 'keeps the points; what is in it already is not measured again')
  .option('--redraw', 'tables and charts of the networks in --output, without measuring', false)
  .parse();
const options = command.opts<Options>();
const threads = Number(options.threads) || availableParallelism();
const batches = options.batchSizes.split(',').map(Number);
const effort = readEffort(options.effort);

function networksOf(place: string): ForeignNetwork[] {
  if (place.includes(':')) return [readNetwork(place)];
  if (statSync(place).isDirectory()) return networksIn(place);
  const { calibration = '', evaluation = '' } = options;
  return [readNetwork(`${basename(place).replace(/\.\w+$/, '')}:${place},${calibration},${evaluation}`)];
}

const points: Point[] =
  options.output !== undefined && existsSync(options.output)
    ? (JSON.parse(readFileSync(options.output, 'utf8')) as Point[])
    : [];
/** Of an earlier run, which may have been stopped. */
const isThere = ({ name }: ForeignNetwork, method: string, asked: string): boolean =>
  points.some((point) => point.network === name && point.method === method && point.asked === asked);

/** In the order of the curves: jobs first. */
async function* candidatesOf(network: ForeignNetwork, work: string): AsyncGenerator<Candidate> {
  const settings = { effort, threads, batches, limitSeconds: Number(options.limit) };
  for (const ladder of laddersOf(options.targets)) {
    const method = nameOfLadder(ladder[0]);
    if (ladder[1].every((asked) => isThere(network, method, asked))) continue;
    note(`${network.name}: ${ladder[1].join(', ')}`);
    yield* await ours(network, ladder, join(work, ladder[0]), settings);
  }
  for (const name of options.peers || []) {
    const peer = peers[name];
    if (peer === undefined) throw new Error(`there is no peer ${name}`);
    for (const asked of peer.asked(options.ratios)) {
      if (isThere(network, peer.name, asked)) continue;
      note(`${network.name}: ${peer.name}, ${asked}`);
      const path = join(work, `${name}-${asked.replace(/\W+/g, '-')}.onnx`);
      yield madeBy(peer, asked, { network, path, python: options.python, seconds: options.peerSeconds });
    }
  }
}

async function measure(network: ForeignNetwork): Promise<void> {
  const work = mkdtempSync(join(tmpdir(), 'sparank-trade-offs-'));
  try {
    const evaluate = await evaluatorOf(network, { threads, batches });
    for await (const { method, asked, reason, missed, seconds, ...made } of candidatesOf(network, work)) {
      const point: Point = { network: network.name, method, asked, load: loadavg()[0] ?? NaN };
      if (reason !== undefined) point.reason = reason;
      else {
        Object.assign(point, { missed, seconds });
        try {
          point.measured = await evaluate({ method, asked, ...made });
        } catch (error) {
          point.reason = `not measured: ${reasonOf(error)}`;
        }
      }
      points.push(point);
      note(`  ${rowOf(point, batches).slice(2).join(' | ')}`);
      // A long run that is stopped keeps what it has.
      if (options.output !== undefined) writeFileSync(options.output, JSON.stringify(points, null, 2));
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function show(name: string): void {
  const own = points.filter(({ network }) => network === name);
  const made = own.filter(({ measured }) => measured !== undefined);
  console.log(`### ${name}\n`);
  console.log(tableOf(columnsFor(batches), made.map((point) => rowOf(point, batches)))); // prettier-ignore
  const without = own.filter(({ measured }) => measured === undefined);
  for (const { method, asked, reason } of without) console.log(`- no ${asked} by ${method}: ${reason ?? ''}`);
  if (without.length > 0) console.log('');
  for (const path of writePlots(name, own, { folder: options.plots, batches })) note(`written: ${path}`);
}

printMachine();
if (options.redraw) {
  for (const name of new Set(points.map(({ network }) => network))) show(name);
} else {
  const places = command.processedArgs[0] as string[];
  const networks = places.length === 0 ? [demonstration()] : places.flatMap(networksOf);
  for (const network of networks.filter(({ name }) => options.only?.some((part) => name.includes(part)) ?? true)) {
    await measure(network).catch((error: unknown) => note(`${network.name}: not measured: ${reasonOf(error)}`));
    show(network.name);
  }
}
