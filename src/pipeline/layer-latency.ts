import type { LayerRow } from '../jobs/results.js';
import { extract, Runner, type Layer, type OnnxModel, type Tensor } from '../models/index.js';
import { measurePaired, quantile } from './latency.js';
import { floats } from './network-pass.js';

const RUNS = { warmup: 2, minRuns: 7, maxRuns: 50, budgetSeconds: 0.4 };

/** Rows with the time of every compressed layer by itself, dense and as it is now, in turn, for one batch of images. */
export async function layerLatencies(
  prepared: OnnxModel,
  compressed: OnnxModel,
  layers: readonly Layer[],
  images: Tensor,
  rows: readonly LayerRow[],
  threads: number,
  signal: AbortSignal,
): Promise<LayerRow[]> {
  const result: LayerRow[] = [];
  for (const row of rows) {
    const layer = layers[row.index];
    if (row.decision !== 'compressed' || layer === undefined) {
      result.push(row);
      continue;
    }
    signal.throwIfAborted();
    const input = await inputOf(prepared, layer.input, images, threads);
    const dense = await Runner.open(extract(prepared, [layer.input], [layer.output]).model, { threads });
    const factored = await Runner.open(extract(compressed, [layer.input], [layer.output]).model, { threads });
    try {
      const feeds = new Map([[layer.input, input]]);
      const pairs = await measurePaired(
        () => dense.feed(feeds),
        () => factored.feed(feeds),
        { ...RUNS, signal },
      );
      result.push({ ...row, latency_ms: { before: quantile(pairs.before, 0.5), after: quantile(pairs.after, 0.5) } });
    } finally {
      await dense.release();
      await factored.release();
    }
  }
  return result;
}

/** What a layer of the network gets to see for `images`. */
export async function inputOf(model: OnnxModel, name: string, images: Tensor, threads: number): Promise<Tensor> {
  if (model.graph.input[0]?.name === name) return images;
  const runner = await Runner.open(extract(model, [], [name]).model, { threads });
  try {
    const value = (await runner.run(images)).get(name);
    if (value === undefined) throw new RangeError(`${name} was not computed`);
    return { dims: value.dims, data: floats(value) };
  } finally {
    await runner.release();
  }
}
