import { centered, columnMeans, columnRange } from '../compression/columns.js';
import type { Candidate } from '../compression/index.js';
import { leadingRightSubspace } from '../compression/rank-step.js';
import { seededRandom } from '../compression/random.js';
import { matrix, type Engine, type Matrix } from '../engines/index.js';
import { extract, Runner, type FloatTensor, type Layer, type OnnxModel, type Tensor } from '../models/index.js';
import { OutputError } from './output-error.js';

/** What rank-limited responses of one layer do to the layer itself and to the network's output. */
export interface SensitivityPoint {
  rank: number;
  /** Relative squared error after the layer's activation, on the samples. */
  layerError: number;
  /** Relative squared error of the network's outputs. */
  outputError: number;
}

/** Shares of the layer's own error at which the network is asked; the curve is interpolated between them. */
const LAYER_ERRORS = [0.5, 0.25, 0.1, 0.03, 0.008];
/** Bound for the work of all suffix runs of one job, in multiply-accumulates (about 20 s on two cores). */
const WORK_MACS = 8e11;
const MIN_IMAGES = 8;
const MAX_IMAGES = 128;
/** Larger ranks are not probed: the power law reaches them. */
export const MAX_PROBED_RANK = 256;

/** Images that the measurement can afford, for networks whose layers have these costs. */
export function affordableImages(layers: readonly Layer[], images: number): number {
  const total = layers.reduce((sum, layer) => sum + layer.macs, 0);
  let rest = total;
  let work = 0;
  for (const layer of layers) {
    rest -= layer.macs;
    if (layer.blocked === null) work += rest * LAYER_ERRORS.length;
  }
  return Math.min(images, MAX_IMAGES, Math.max(MIN_IMAGES, Math.floor(WORK_MACS / Math.max(1, work))));
}

/** Leading eigenvectors of the centred response. */
export interface ResponseBasis {
  /** [m], float64 */
  mean: Float64Array;
  /** [m, size], orthonormal columns, most important first */
  basis: Matrix;
}

export async function responseBasis(
  engine: Engine,
  response: Matrix,
  size: number,
  seed: number,
): Promise<ResponseBasis> {
  const mean = columnMeans(response);
  const width = Math.min(response.cols, response.rows, size);
  const basis = await leadingRightSubspace(engine, centered(response, mean), width, seededRandom(seed));
  return { mean, basis };
}

/** Low-rank candidates whose own errors lie nearest to the wanted shares; the network is asked about these. */
export function chooseProbes(
  candidates: readonly Candidate[],
  maxRank: number,
): { rank: number; layerError: number }[] {
  const plain = candidates.filter(({ rank, groups }) => rank > 0 && groups === 0 && rank <= maxRank);
  const chosen = new Map<number, number>();
  for (const wanted of LAYER_ERRORS) {
    let best: Candidate | undefined;
    const distance = (c: Candidate) => Math.abs(Math.log(Math.max(c.error, 1e-12) / wanted));
    for (const candidate of plain) if (best === undefined || distance(candidate) < distance(best)) best = candidate;
    if (best !== undefined) chosen.set(best.rank, best.error);
  }
  return [...chosen].map(([rank, layerError]) => ({ rank, layerError })).sort((a, b) => a.rank - b.rank);
}

/**
 * Effect on the network's output of an error in the layer: a power law through the measured points, piecewise between
 * them and continued with the slope of the nearest piece outside. Never decreasing.
 */
export function outputErrorOf(points: readonly SensitivityPoint[], layerError: number): number {
  if (layerError === 0) return 0;
  const sorted = points
    .filter((p) => p.layerError > 0 && p.outputError > 0)
    .map((p) => ({ x: Math.log(p.layerError), y: Math.log(p.outputError) }))
    .sort((a, b) => a.x - b.x);
  for (let i = sorted.length - 2; i >= 0; i--) {
    const [here, next] = [sorted[i], sorted[i + 1]];
    if (here !== undefined && next !== undefined && here.y > next.y) here.y = next.y;
  }
  const [first] = sorted;
  const last = sorted.at(-1);
  if (first === undefined || last === undefined) return layerError;
  const x = Math.log(layerError);
  if (sorted.length === 1) return Math.exp(first.y + (x - first.x));
  let right = sorted.findIndex((p) => p.x >= x);
  if (right === -1) right = sorted.length - 1;
  if (right === 0) right = 1;
  const [a, b] = [sorted[right - 1] ?? first, sorted[right] ?? last];
  const slope = b.x === a.x ? 1 : (b.y - a.y) / (b.x - a.x);
  return Math.exp(a.y + slope * (x - a.x));
}

/**
 * Feeds the network, from `layer`'s output on, with responses of limited rank and compares its outputs with the original's.
 *
 * @param responses the layer's output before the activation, batch by batch, [n, m, ...] for convolutions, [..., m] else
 * @param before tensors that do not depend on the layer and may be given to the rest of the network
 * @param read one batch of such a tensor, or of the network's input
 */
export async function measureSensitivity(
  engine: Engine,
  network: { prepared: OnnxModel; outputs: readonly string[]; threads: number },
  layer: Layer,
  { mean, basis }: ResponseBasis,
  probes: readonly { rank: number; layerError: number }[],
  responses: readonly FloatTensor[],
  before: ReadonlySet<string>,
  read: (name: string, batch: number) => Promise<Tensor>,
  signal: AbortSignal,
): Promise<SensitivityPoint[]> {
  const given = new Set([layer.output, ...before]);
  // Outputs among `before` do not depend on the layer; the layer's own output needs no part of the network.
  const computed = network.outputs.filter((name) => !given.has(name));
  const part = extract(network.prepared, given, computed);
  const runner = computed.length === 0 ? null : await Runner.open(part.model, { threads: network.threads });
  const evaluate = async (response: FloatTensor, batch: number): Promise<Map<string, Tensor>> => {
    const own = network.outputs.includes(layer.output) ? [[layer.output, response] as const] : [];
    if (runner === null) return new Map(own);
    const feeds = new Map<string, Tensor>([[layer.output, response]]);
    for (const name of part.inputs) if (name !== layer.output) feeds.set(name, await read(name, batch));
    return new Map([...(await runner.feed(feeds)), ...own]);
  };
  try {
    const projectors: Matrix[] = [];
    for (const { rank } of probes) {
      const v = columnRange(basis, 0, rank);
      projectors.push(await engine.multiply(v, v, { b: true }));
    }
    const errors = probes.map(() => new OutputError());
    for (const [batch, response] of responses.entries()) {
      const original = await evaluate(response, batch);
      for (const [i, projector] of projectors.entries()) {
        signal.throwIfAborted();
        const changed = await evaluate(await project(engine, layer, response, projector, mean), batch);
        for (const [name, value] of original) {
          const other = changed.get(name);
          if (other !== undefined) errors[i]?.add(value, other);
        }
      }
    }
    return probes.map((probe, i) => ({ ...probe, outputError: errors[i]?.relative ?? 0 }));
  } finally {
    await runner?.release();
  }
}

/** Every position's response, projected: A (y - mean) + mean. */
async function project(
  engine: Engine,
  layer: Layer,
  response: FloatTensor,
  a: Matrix,
  mean: Float64Array,
): Promise<FloatTensor> {
  const { m } = layer;
  const result = new Float32Array(response.data.length);
  const centre = new Float64Array(m);
  for (let i = 0; i < m; i++) {
    let kept = 0;
    for (let j = 0; j < m; j++) kept += (a.data[i * m + j] ?? 0) * (mean[j] ?? 0);
    centre[i] = (mean[i] ?? 0) - kept;
  }
  if (layer.op !== 'Conv') {
    const product = await engine.multiply(matrix(response.data.length / m, m, response.data), a);
    for (let i = 0; i < result.length; i++) result[i] = (product.data[i] ?? 0) + (centre[i % m] ?? 0);
    return { dims: response.dims, data: result };
  }
  const plane = layer.positions;
  for (let begin = 0; begin < result.length; begin += m * plane) {
    const product = await engine.multiply(a, matrix(m, plane, response.data.subarray(begin, begin + m * plane)));
    for (let c = 0; c < m; c++) {
      const shift = centre[c] ?? 0;
      for (let i = 0; i < plane; i++) result[begin + c * plane + i] = (product.data[c * plane + i] ?? 0) + shift;
    }
  }
  return { dims: response.dims, data: result };
}
