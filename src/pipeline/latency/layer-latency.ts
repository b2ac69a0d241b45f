import type { LayerRow } from '../../jobs/results.js';
import {
  extract,
  integerEnds,
  nameIn,
  Runner,
  usesOf,
  type Ends,
  type Layer,
  type Model,
  type Samples,
  type Tensor,
} from '../../models/index.js';
import { measureInTurn, quantile } from './latency.js';

/** The budget is for two networks. */
const RUNS = { warmup: 2, minRuns: 7, fewestRuns: 3, maxRuns: 50, budgetSeconds: 0.4 };
/** For all layers together: a deep network has less for each. */
const ALL_SECONDS = 10;

/** Why a layer is compressed that is not faster for it. */
export const SLOWER_NOTE = 'smaller, but slower by itself: compressed for its size';

/** A compressed network and its ledger. */
export interface TimedNetwork {
  model: Model;
  rows: readonly LayerRow[];
  /** Tensors that are not there because they would be what another one is: that one. Absent: none. */
  bypassed?: ReadonlyMap<string, string>;
}

export interface LayerTiming {
  /** Groups of the networks (by their place in `networks`) in which a layer has the same form. */
  sameForm: (layer: number) => number[][];
  images: Samples;
  threads: number;
  signal: AbortSignal;
  /** Share that is done. */
  progress: (share: number) => void;
}

/**
 * The ledgers with the time of every compressed layer by itself, dense and as it is now, in turn, for one batch of
 * images. A form of a layer that several networks share is timed once.
 */
export async function layerLatencies(
  prepared: Model,
  layers: readonly Layer[],
  networks: readonly TimedNetwork[],
  { sameForm, images, threads, signal, progress }: LayerTiming,
): Promise<LayerRow[][]> {
  const times = networks.map(() => new Map<number, NonNullable<LayerRow['latency_ms']>>());
  const wanted = [...layers.entries()].filter(([index]) => sameForm(index).length > 0);
  const budget = Math.min(RUNS.budgetSeconds, ALL_SECONDS / Math.max(1, wanted.length)) / 2;
  const inputs = await inputsOf(
    prepared,
    new Set(wanted.flatMap(([, layer]) => usesOf(layer).map(({ input }) => input))),
    images,
    threads,
  );
  for (const [done, [index, layer]] of wanted.entries()) {
    const forms = sameForm(index);
    signal.throwIfAborted();
    progress(done / wanted.length);
    const timed: { runner: Runner; feeds: Map<string, Tensor> }[] = [];
    const open = async (model: Model, endsOf: (use: Ends) => Ends) => {
      const feeds = new Map<string, Tensor>();
      const ends = usesOf(layer).map(({ input: from, output: to }) => endsOf({ from, to }));
      const outputs = ends.map(({ to }) => to);
      for (const { from } of ends) {
        // Where one use reads what another one makes, the two are timed as a chain.
        if (outputs.includes(from)) continue;
        const known = images.get(from) ?? inputs.get(from);
        feeds.set(from, known ?? (await inputOf(model, from, images, threads)));
      }
      const runner = await Runner.open(extract(model, feeds.keys(), outputs).model, { threads });
      timed.push({ runner, feeds });
    };
    try {
      await open(prepared, (ends) => ends);
      for (const [first = 0] of forms) {
        const network = networks[first];
        if (network === undefined) continue;
        const { model, bypassed = new Map<string, string>() } = network;
        const named = (tensor: string) => nameIn(model, bypassed.get(tensor) ?? tensor);
        await open(model, ({ from, to }) => integerEnds(model, { from: named(from), to: named(to) }));
      }
      const [dense = [], ...factored] = await measureInTurn(
        timed.map(({ runner, feeds }) => fedRun(runner, feeds)),
        { ...RUNS, budgetSeconds: budget * timed.length, signal },
      );
      const before = quantile(dense, 0.5);
      for (const [i, members] of forms.entries())
        for (const member of members) times[member]?.set(index, { before, after: quantile(factored[i] ?? [], 0.5) });
    } finally {
      for (const { runner } of timed) await runner.release();
    }
  }
  return networks.map(({ rows }, i) => rows.map((row) => withTime(row, times[i]?.get(row.index) ?? row.latency_ms)));
}

/** A run to be timed, with the tensors in the types of the inputs beforehand. */
export function fedRun(runner: Runner, feeds: Samples): () => Promise<unknown> {
  const own = runner.typed(feeds);
  return () => runner.feed(own);
}

/** Above this part of the time before a layer is slower, whatever the noise of its few runs. */
const SLOWER = 1.1;

/** What is smaller and not faster says so. */
function withTime(row: LayerRow, latency: LayerRow['latency_ms']): LayerRow {
  const slower = row.decision === 'compressed' && latency !== null && latency.after > SLOWER * latency.before;
  const reason = slower ? (row.reason ?? SLOWER_NOTE) : row.reason;
  return { ...row, latency_ms: latency, reason };
}

/** What a layer of the network gets to see for `images`. */
export async function inputOf(model: Model, name: string, images: Samples, threads: number): Promise<Tensor> {
  const value = images.get(name) ?? (await inputsOf(model, new Set([name]), images, threads)).get(name);
  if (value === undefined) throw new RangeError(`${name} was not computed`);
  return value;
}

/** The same of several layers, in one run; without the network's own inputs. */
export async function inputsOf(
  model: Model,
  names: ReadonlySet<string>,
  images: Samples,
  threads: number,
): Promise<Map<string, Tensor>> {
  const inner = [...names].filter((name) => !images.has(name));
  if (inner.length === 0) return new Map();
  const runner = await Runner.open(extract(model, [], inner).model, { threads });
  try {
    return await runner.run(images);
  } finally {
    await runner.release();
  }
}
