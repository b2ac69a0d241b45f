import type { LayerRow } from '../../jobs/results.js';
import { extract, integerEnds, Runner, type Ends, type Layer, type Model, type Tensor } from '../../models/index.js';
import { measureInTurn, quantile } from './latency.js';

/** The budget is for two networks. */
const RUNS = { warmup: 2, minRuns: 7, maxRuns: 50, budgetSeconds: 0.4 };

/** A compressed network and its ledger. */
export interface TimedNetwork {
  model: Model;
  rows: readonly LayerRow[];
}

export interface LayerTiming {
  /** Groups of the networks (by their place in `networks`) in which a layer has the same form. */
  sameForm: (layer: number) => number[][];
  images: Tensor;
  threads: number;
  signal: AbortSignal;
}

/**
 * The ledgers with the time of every compressed layer by itself, dense and as it is now, in turn, for one batch of images. A form
 * of a layer that several networks share is timed once.
 */
export async function layerLatencies(
  prepared: Model,
  layers: readonly Layer[],
  networks: readonly TimedNetwork[],
  { sameForm, images, threads, signal }: LayerTiming,
): Promise<LayerRow[][]> {
  const times = networks.map(() => new Map<number, NonNullable<LayerRow['latency_ms']>>());
  for (const [index, layer] of layers.entries()) {
    const forms = sameForm(index);
    if (forms.length === 0) continue;
    signal.throwIfAborted();
    const input = await inputOf(prepared, layer.input, images, threads);
    const whole = { from: layer.input, to: layer.output };
    const timed: { runner: Runner; feeds: Map<string, Tensor> }[] = [];
    const open = async (model: Model, { from, to }: Ends, value: Tensor) => {
      const runner = await Runner.open(extract(model, [from], [to]).model, { threads });
      timed.push({ runner, feeds: new Map([[from, value]]) });
    };
    try {
      await open(prepared, whole, input);
      for (const [first = 0] of forms) {
        const model = networks[first]?.model;
        if (model === undefined) continue;
        const ends = integerEnds(model, whole);
        await open(model, ends, ends.from === whole.from ? input : await inputOf(model, ends.from, images, threads));
      }
      const [dense = [], ...factored] = await measureInTurn(
        timed.map(
          ({ runner, feeds }) =>
            () =>
              runner.feed(feeds),
        ),
        { ...RUNS, budgetSeconds: (RUNS.budgetSeconds / 2) * timed.length, signal },
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

/** Above this part of the time before a layer is slower, whatever the noise of its few runs. */
const SLOWER = 1.1;

/** What is smaller and not faster says so. */
function withTime(row: LayerRow, latency: LayerRow['latency_ms']): LayerRow {
  const slower = row.decision === 'compressed' && latency !== null && latency.after > SLOWER * latency.before;
  const reason = slower ? (row.reason ?? 'smaller, but slower by itself: compressed for its size') : row.reason;
  return { ...row, latency_ms: latency, reason };
}

/** What a layer of the network gets to see for `images`. */
export async function inputOf(model: Model, name: string, images: Tensor, threads: number): Promise<Tensor> {
  if (model.graph.input[0]?.name === name) return images;
  const runner = await Runner.open(extract(model, [], [name]).model, { threads });
  try {
    const value = (await runner.run(images)).get(name);
    if (value === undefined) throw new RangeError(`${name} was not computed`);
    return value;
  } finally {
    await runner.release();
  }
}
