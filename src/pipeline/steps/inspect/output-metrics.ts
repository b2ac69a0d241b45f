import { behindWeights, slopeMoments } from '../../../compression/index.js';
import { identityMatrix } from '../../../compression/regression/rank-step.js';
import { matrix, type Engine, type Matrix } from '../../../engines/index.js';
import { channelFlows, usesOf, type ChannelFlow, type Layer, type Model } from '../../../models/index.js';
import { readProblem } from '../../files/layer-file.js';
import { layerResponse } from './layer-response.js';

/** Wider responses are weighed plainly: their metric would take longer than the fit. */
const MAX_METRIC_OUTPUTS = 1024;
/** Its square is still a float32. */
const LARGEST = 1e18;
/** Off the diagonal, of an activation whose slopes were not sampled: half of all values pass, independently. */
const UNSEEN_PAIR = 0.5;

/**
 * By the tensor of the layer's response: how much errors before and after its activation matter to the outputs, [m, m]
 * each.
 */
export type LayerMetrics = ReadonlyMap<string, { response: Matrix; after: Matrix }>;

/**
 * The same, with the slopes of the activations at the samples of every layer. @param samples path of a layer's samples
 */
export async function sampledMetrics(
  engine: Engine,
  model: Model,
  { layers, samples, signal }: { layers: readonly Layer[]; samples: (index: number) => string; signal: AbortSignal },
): Promise<LayerMetrics> {
  const slopes = new Map<string, Matrix>();
  for (const [index, layer] of layers.entries()) {
    const { m, activation } = layer;
    if (layer.blocked !== null || activation.kind === 'identity' || m > MAX_METRIC_OUTPUTS) continue;
    signal.throwIfAborted();
    const { problem } = await readProblem(samples(index));
    const { wanted } = await layerResponse(engine, layer, problem);
    const z = matrix(wanted.length / m, m, wanted);
    const moments = await slopeMoments(engine, activation, z);
    for (const use of usesOf(layer)) slopes.set(use.skip?.sum ?? use.output, moments);
  }
  return outputMetrics(engine, model, layers, slopes);
}

/**
 * Of every layer whose errors' way to the outputs is understood.
 * @param slopes E[r'(z) r'(z)ᵀ] at the tensors where it was sampled
 */
export async function outputMetrics(
  engine: Engine,
  model: Model,
  layers: readonly Layer[],
  slopes: ReadonlyMap<string, Matrix>,
): Promise<LayerMetrics> {
  const { flows, outputs } = channelFlows(model, layers);
  // null: something unknown reads the tensor.
  const metrics = new Map<string, Matrix | null>();
  const activated = new Map<string, Matrix>();
  const add = (name: string, metric: Matrix | null) => {
    const known = metrics.get(name);
    if (known === undefined) metrics.set(name, metric);
    else if (known === null || metric === null || known.rows !== metric.rows) metrics.set(name, null);
    else
      metrics.set(
        name,
        matrix(
          known.rows,
          known.cols,
          known.data.map((value, i) => value + metric.data[i]),
        ),
      );
  };
  for (const { name, channels } of outputs) add(name, identityMatrix(channels));
  for (const flow of flows.toReversed()) {
    const metric = metrics.get(flow.to);
    if (metric === undefined) continue;
    if (flow.kind === 'mask' && metric !== null) activated.set(flow.at, metric);
    const parts = metric === null ? null : await before(engine, flow, metric, slopes);
    flow.from.forEach((name, i) => add(name, parts?.[i] ?? null));
  }
  const wanted = new Map<string, { response: Matrix; after: Matrix }>();
  for (const layer of layers) {
    if (layer.blocked !== null || layer.m > MAX_METRIC_OUTPUTS) continue;
    const uses = usesOf(layer).map(({ output, skip, positions }) => {
      const metric = metrics.get(output);
      return { metric, after: activated.get(skip?.sum ?? output) ?? metric, share: positions / layer.positions };
    });
    const response = meanOf(uses.map(({ metric, share }) => ({ metric, share })));
    const after = meanOf(uses.map(({ after: metric, share }) => ({ metric, share })));
    if (response === null || after === null || response.rows !== layer.m) continue;
    if ([response, after].every(isUsable)) wanted.set(layer.output, { response, after });
  }
  return wanted;
}

/** Of the uses of a layer, each with its share of the places; null where one is not known. */
function meanOf(uses: readonly { metric: Matrix | null | undefined; share: number }[]): Matrix | null {
  const [first] = uses;
  if (first?.metric == null) return null;
  if (uses.length === 1) return first.metric;
  const { rows, cols } = first.metric;
  const sum = new Float32Array(rows * cols);
  for (const { metric, share } of uses) {
    if (metric?.rows !== rows) return null;
    for (let i = 0; i < sum.length; i++) sum[i] = sum[i] + share * metric.data[i];
  }
  return matrix(rows, cols, sum);
}

/** Huge weights behind a layer would make its fit break down instead of their own. */
const isUsable = ({ data }: Matrix): boolean => data.every((value) => Math.abs(value) < LARGEST);

async function before(
  engine: Engine,
  flow: ChannelFlow,
  metric: Matrix,
  slopes: ReadonlyMap<string, Matrix>,
): Promise<(Matrix | null)[] | null> {
  const n = metric.rows;
  const elementwise = (factor: (i: number, j: number) => number): Matrix =>
    matrix(
      n,
      n,
      metric.data.map((value, at) => value * factor(Math.floor(at / n), at % n)),
    );
  switch (flow.kind) {
    case 'unknown':
      return null;
    case 'same':
      return flow.from.map(() => metric);
    case 'weights':
      if (n !== flow.m) return null;
      return [await behindWeights(engine, metric, weightsOf(flow.weights(), n), flow.channels)];
    case 'depthwise': {
      if (n !== flow.channels) return null;
      const weights = weightsOf(flow.weights(), n);
      const products = await engine.multiply(weights, weights, { transposeB: true });
      return [elementwise((i, j) => products.data[i * n + j])];
    }
    case 'scale': {
      if (flow.factors.length !== n) return null;
      return [elementwise((i, j) => flow.factors[i] * flow.factors[j])];
    }
    case 'mask': {
      const seen = slopes.get(flow.at);
      if (seen !== undefined && seen.rows === n) return [elementwise((i, j) => seen.data[i * n + j])];
      return [elementwise((i, j) => (i === j ? 1 : UNSEEN_PAIR))];
    }
    case 'concat': {
      let begin = 0;
      return flow.sizes.map((size) => {
        const from = begin;
        begin += size;
        return begin > n ? null : block(metric, from, size);
      });
    }
  }
}

const weightsOf = (data: Float32Array, m: number): Matrix => matrix(m, data.length / m, data);

function block(metric: Matrix, from: number, size: number): Matrix {
  const out = matrix(size, size);
  for (let i = 0; i < size; i++) {
    const row = (from + i) * metric.cols + from;
    out.data.set(metric.data.subarray(row, row + size), i * size);
  }
  return out;
}
