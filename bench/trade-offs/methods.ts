/** The ways to compress that the curves are of: what each makes of a network, as files. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Metrics } from '../../src/jobs/results.js';
import type { ForeignNetwork } from '../elsewhere/networks.js';
import { readTarget } from '../support/files.js';
import { PEERS } from '../support/peers.js';
import { reasonOf, runPeer } from '../support/python.js';
import { runJob, totalSeconds } from '../support/run-job.js';

/** What a method made for one wish, before anything is measured. */
export interface Candidate {
  method: string;
  asked: string;
  /** Why there is no network, in words. */
  reason?: string;
  path?: string;
  /** Of the job or the script. A job makes all points of a ladder: its seconds are those of all. */
  seconds?: number;
  /** There is a network, and it is not what was asked for. */
  missed?: boolean;
  /** Where weights are stored in a form that the file does not have. */
  bytes?: number;
  /** As the job counts them: it knows how its own layers are stored. */
  counted?: Pick<Metrics, 'parameters' | 'macs'>;
}

export interface JobSettings {
  effort: string | number;
  threads: number;
  batches: readonly number[];
  limitSeconds: number;
}

/** What a ladder asks for is in its name, so that each is a line of its own. */
const LADDERS: Readonly<Record<string, string>> = {
  parameter_ratio: 'Sparank, fewer parameters',
  mac_ratio: 'Sparank, less work',
  bytes_ratio: 'Sparank, fewer bytes',
  speedup: 'Sparank, faster',
};

export const nameOfLadder = (name: string): string => LADDERS[name] ?? `Sparank, ${name}`;

/** `name=value` by name: a job for each, with one target for every value. */
export function laddersOf(targets: readonly string[]): Map<string, string[]> {
  const ladders = new Map<string, string[]>();
  for (const target of targets) {
    const [name = ''] = Object.keys(readTarget(target));
    ladders.set(name, [...(ladders.get(name) ?? []), target]);
  }
  return ladders;
}

/** One job without evaluation data, which it must not fit anything to. */
export async function ours(
  network: ForeignNetwork,
  [name, targets]: [string, string[]],
  output: string,
  settings: JobSettings,
): Promise<Candidate[]> {
  const { effort, threads, batches, limitSeconds } = settings;
  const method = nameOfLadder(name);
  try {
    const outcome = await runJob({
      files: { model: network.model, calibration: network.calibration, evaluation: null },
      spec: { targets: targets.map(readTarget), effort, benchmark: { batch_sizes: batches, threads } },
      ...{ threads, output, limitSeconds },
    });
    // Its own evaluation is not part of compressing.
    const seconds = totalSeconds(outcome) - outcome.seconds.evaluate;
    return targets.map((asked, i): Candidate => {
      const point = outcome.points[i];
      if (!point?.model || point.metrics === null || !existsSync(join(output, point.model)))
        return { method, asked, reason: point?.error?.detail ?? 'the job gave no network' };
      const { parameters, macs } = point.metrics;
      // By its own measurement: what is measured here may lie on the other side of what was asked for.
      const missed = point.verdict?.passed === false;
      return { method, asked, path: join(output, point.model), seconds, missed, counted: { parameters, macs } };
    });
  } catch (error) {
    return targets.map((asked) => ({ method, asked, reason: reasonOf(error) }));
  }
}

interface Peer {
  name: string;
  asked: (ratios: readonly string[]) => string[];
  script: string;
  /** Without those that every script has: the model, the calibration data and the file to write. */
  args: (files: { model: string; calibration: string; path: string }, wish: string) => string[];
  /** Whether it stops after `--seconds` of the processor. */
  trains?: boolean;
}

const byRatio = (method: string, name: string): Peer => ({
  name,
  asked: (ratios) => ratios.map((ratio) => `parameter_ratio=${ratio}`),
  script: 'compress.py',
  trains: method === 'distilled',
  args: ({ model, calibration, path }, wish) => {
    const ratio = wish.split('=')[1] ?? '';
    return [method, model, calibration, '--ratio', ratio, '--out', path];
  },
});

export const peers: Readonly<Record<string, Peer>> = {
  quantization: {
    name: "ONNX Runtime's static quantization",
    asked: () => ['8 bits'],
    script: 'static_quantization.py',
    args: ({ model, calibration, path }) => [model, calibration, path],
  },
  rounding: {
    name: 'AdaRound of the weights, layer by layer',
    asked: () => ['4 bits', '2 bits'],
    script: 'adaround.py',
    trains: true,
    args: ({ model, calibration, path }, wish) => [
      model,
      calibration,
      path,
      '--bits',
      String(Number.parseInt(wish, 10)),
    ],
  },
  ...Object.fromEntries(Object.entries(PEERS).map(([method, name]) => [method, byRatio(method, name)])),
};

/** One peer on one network at one size. */
export async function madeBy(
  { name, script, args, trains = false }: Peer,
  asked: string,
  { network, path, python, seconds: most }: { network: ForeignNetwork; path: string; python: string; seconds: string },
): Promise<Candidate> {
  const begun = performance.now();
  const wall = () => (performance.now() - begun) / 1000;
  try {
    const { model, calibration } = network;
    const said = await runPeer(python, script, [
      ...args({ model, calibration, path }, asked),
      ...(trains ? ['--seconds', most] : []),
    ]);
    // Loading its libraries is not part of compressing.
    const { bytes, seconds = wall() } = said as { bytes?: number; seconds?: number };
    return { method: name, asked, path, seconds, ...(bytes === undefined ? {} : { bytes }) };
  } catch (error) {
    return { method: name, asked, reason: reasonOf(error) };
  }
}
