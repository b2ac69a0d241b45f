import { centered, columnMeans, columnRange } from '../../compression/linalg/columns.js';
import type { Candidate, NarrowFits } from '../../compression/index.js';
import { identityMatrix, squaredNorm } from '../../compression/regression/rank-step.js';
import { leadingInSpan } from '../../compression/regression/response-span.js';
import type { ResponseMetric } from '../../compression/regression/response-metric.js';
import { seededRandom } from '../../compression/linalg/random.js';
import { matrix, type Engine, type Matrix } from '../../engines/index.js';
import {
  behindLinearMap,
  PLAIN_SHAPE,
  Runner,
  transpose,
  type BehindMap,
  type FloatTensor,
  type Layer,
  type Model,
  type Parts,
  type Tensor,
  type Running,
} from '../../models/index.js';
import { OutputError } from '../network/compare/output-error.js';

/** What rank-limited responses of one layer do to the layer itself and to the network's output. */
export interface SensitivityPoint {
  rank: number;
  /** Relative squared error after the layer's activation, on the samples. */
  layerError: number;
  /** Relative squared error of the network's outputs. */
  outputError: number;
}

/** Larger ranks are not probed: the power law reaches them. */
export const MAX_PROBED_RANK = 256;

/**
 * Leading directions of the centred response, most important first: a projector on the first k of them is `up` `down`ᵀ.
 */
export interface ResponseBasis {
  /** [m], float64 */
  mean: Float64Array;
  /** [m, size] */
  down: Matrix;
  /** [m, size] */
  up: Matrix;
}

export interface BasisOptions {
  size: number;
  seed: number;
  metric: ResponseMetric | null;
  /** Orthonormal basis of all responses, where there is one of fewer columns. */
  span?: Matrix | null;
}

export async function responseBasis(
  engine: Engine,
  response: Matrix,
  { size, seed, metric, span = null }: BasisOptions,
): Promise<ResponseBasis> {
  const mean = columnMeans(response);
  const width = Math.min(response.cols, response.rows, size);
  const plain = centered(response, mean);
  const turned = metric === null ? plain : await engine.multiply(plain, metric.turn);
  const within = metric === null ? span : null;
  const basis = await leadingInSpan(engine, turned, { size: width, random: seededRandom(seed), span: within });
  if (metric === null) return { mean, down: basis, up: basis };
  return {
    mean,
    down: await engine.multiply(metric.turn, basis),
    up: await engine.multiply(metric.back, basis, { transposeA: true }),
  };
}

/** Low-rank candidates whose own errors lie nearest to the wanted ones; the network is asked about these. */
export function chooseProbes(
  candidates: readonly Candidate[],
  maxRank: number,
  errors: readonly number[],
): { rank: number; layerError: number }[] {
  const plain = candidates.filter(
    ({ shape, rank, groups }) => shape === PLAIN_SHAPE && rank > 0 && groups === 0 && rank <= maxRank,
  );
  const chosen = new Map<number, number>();
  for (const wanted of errors) {
    let best: Candidate | undefined;
    const distance = (c: Candidate) => Math.abs(Math.log(Math.max(c.error, 1e-12) / wanted));
    for (const candidate of plain) if (best === undefined || distance(candidate) < distance(best)) best = candidate;
    if (best !== undefined) chosen.set(best.rank, best.error);
  }
  return [...chosen].map(([rank, layerError]) => ({ rank, layerError })).sort((a, b) => a.rank - b.rank);
}

/** Fewer points of limited rank say little of errors in other directions. */
const FEW_PROBES = 3;

/**
 * A probe of rank 0, the mean of the response alone, where few ranks can be looked at and a sparse part may stand by itself. Of two
 * outputs a limited rank loses the least direction only, and what follows may be blind to that, as a softmax is to what both have in
 * common; inputs that are left out are missing in all directions.
 *
 * @param after the response behind the activation, [samples, m]
 */
export function probesWithMean(
  probes: readonly { rank: number; layerError: number }[],
  candidates: readonly Candidate[],
  after: Matrix,
): { rank: number; layerError: number }[] {
  const isAlone = candidates.some(({ rank, groups }) => rank === 0 && groups > 0);
  if (probes.length >= FEW_PROBES || !isAlone) return [...probes];
  const energy = squaredNorm(after.data);
  const layerError = energy === 0 ? 0 : squaredNorm(centered(after, columnMeans(after)).data) / energy;
  return layerError === 0 ? [...probes] : [{ rank: 0, layerError }, ...probes];
}

/** Widths whose own errors lie nearest to the wanted ones. */
export function chooseWidths(
  { widths, errors }: Pick<NarrowFits, 'widths' | 'errors'>,
  wantedErrors: readonly number[],
): { rank: number; layerError: number }[] {
  const chosen = new Map<number, number>();
  for (const wanted of wantedErrors) {
    let best = -1;
    const distance = (i: number) => Math.abs(Math.log(Math.max(errors[i] ?? 1, 1e-12) / wanted));
    for (const i of widths.keys()) if (best < 0 || distance(i) < distance(best)) best = i;
    const width = widths[best];
    if (width !== undefined) chosen.set(width, errors[best] ?? 1);
  }
  return [...chosen].map(([rank, layerError]) => ({ rank, layerError }));
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

/** A changed version of the layer, by its response to one batch. */
export interface Variant {
  /** Rank, or width of the first convolution. */
  rank: number;
  layerError: number;
  respond(batch: number): Promise<FloatTensor>;
}

/** What is behind the layer, and how its responses are changed on the way there. */
interface RestOfNetwork {
  runner: Runner;
  part: BehindMap;
  /** Outputs that depend on the layer. */
  outputs: readonly string[];
  /** For every probe. */
  maps: readonly ReadonlyMap<string, FloatTensor>[];
  identity: ReadonlyMap<string, FloatTensor>;
}

interface ProbeOptions {
  basis: ResponseBasis;
  probes: readonly { rank: number; layerError: number }[];
  variants: readonly Variant[];
  /** Tensors that do not depend on the layer and may be given to the rest of the network. */
  before: ReadonlySet<string>;
  /** One batch of such a tensor, of the network's input, or of its original outputs. */
  read: (name: string, batch: number) => Promise<Tensor>;
}

/** What the effects of a layer are measured in. */
export interface ProbedNetwork extends Running {
  prepared: Model;
  /** Names of its outputs. */
  outputs: readonly string[];
  parts: ReadonlyMap<string, Parts>;
}

/**
 * The rest of a network behind one layer, fed with the layer's responses of limited rank and with those of changed
 * layers. Has to be released.
 */
export class SensitivityProbe {
  private constructor(
    private readonly rest: RestOfNetwork,
    private readonly options: ProbeOptions,
    /** Of every probe, then of every variant. */
    private readonly errors: OutputError[],
  ) {}

  static async open(network: ProbedNetwork, layer: Layer, options: ProbeOptions): Promise<SensitivityProbe> {
    const { basis, probes, variants, before } = options;
    const outputs = network.outputs.filter((name) => !before.has(name));
    const axes = layer.op === 'Conv' ? layer.kernel.length : 0;
    const part = behindLinearMap(network.prepared, layer.output, { axes, beside: before, to: outputs });
    const maps = probes.map(({ rank }) => mapOf(part, basis, rank, axes));
    const identity = variants.length === 0 ? new Map<string, FloatTensor>() : identityMap(part, layer.m, axes);
    const runner = await Runner.open(part.model, { threads: network.threads, device: network.device });
    const errors = [...probes, ...variants].map(() => new OutputError(network.parts, network.outputs));
    return new SensitivityProbe({ runner, part, outputs, maps, identity }, options, errors);
  }

  /**
   * Compares the network's outputs with the original's, for one batch.
   * @param response the layer's output before the activation: [n, m, ...] for convolutions, [..., m] else
   */
  async add(response: FloatTensor, batch: number, signal: AbortSignal): Promise<void> {
    const feeds = new Map<string, Tensor>([[this.rest.part.response, response]]);
    for (const name of this.rest.part.beside) feeds.set(name, await this.options.read(name, batch));
    const originals = await readAll(this.rest.outputs, (name) => this.options.read(name, batch));
    const compare = async (i: number, changes: Iterable<readonly [string, Tensor]>) => {
      signal.throwIfAborted();
      const changed = await this.rest.runner.feed(new Map([...feeds, ...changes]));
      this.errors[i]?.addAll(originals, changed);
    };
    for (const [i, map] of this.rest.maps.entries()) await compare(i, map);
    for (const [i, variant] of this.options.variants.entries()) {
      const own = await variant.respond(batch);
      await compare(this.rest.maps.length + i, [...this.rest.identity, [this.rest.part.response, own]]);
    }
  }

  /** First of the probes, then of the variants. */
  points(): SensitivityPoint[] {
    return pointsOf([...this.options.probes, ...this.options.variants], this.errors);
  }

  async release(): Promise<void> {
    await this.rest.runner.release();
  }
}

export async function readAll(
  names: Iterable<string>,
  read: (name: string) => Promise<Tensor>,
): Promise<Map<string, Tensor>> {
  const tensors = new Map<string, Tensor>();
  for (const name of names) tensors.set(name, await read(name));
  return tensors;
}

export const pointsOf = (
  changes: readonly Pick<Variant, 'rank' | 'layerError'>[],
  errors: readonly OutputError[],
): SensitivityPoint[] =>
  changes.map(({ rank, layerError }, i) => ({ rank, layerError, outputError: errors[i]?.relative ?? 0 }));

function identityMap(part: BehindMap, m: number, axes: number): Map<string, FloatTensor> {
  const same = identityMatrix(m);
  return mapOf(part, { mean: new Float64Array(m), down: same, up: same }, m, axes);
}

/** A (y - mean) + mean with A the projector on the first `rank` directions, as feeds of the inserted map; of rank 0 the mean. */
export function mapOf(
  part: Pick<BehindMap, 'down' | 'up' | 'offset'>,
  { mean, down, up }: ResponseBasis,
  rank: number,
  axes: number,
): Map<string, FloatTensor> {
  const m = mean.length;
  // No tensor has no columns.
  const width = Math.max(1, rank);
  const [d, u] = rank === 0 ? [matrix(m, 1), matrix(m, 1)] : [columnRange(down, 0, rank), columnRange(up, 0, rank)];
  const scores = new Float64Array(width);
  for (let i = 0; i < m; i++) {
    for (let r = 0; r < width; r++) scores[r] = scores[r] + d.data[i * width + r] * mean[i];
  }
  const offset = Float32Array.from(mean, (value, i) => {
    let kept = 0;
    for (let r = 0; r < width; r++) kept += u.data[i * width + r] * scores[r];
    return value - kept;
  });
  const ones = new Array<number>(axes).fill(1);
  // A convolution's weights have their outputs first, a product's their inputs.
  const tall = (a: Matrix) => ({ dims: [m, width, ...ones], data: a.data });
  const wide = (a: Matrix) => ({ dims: [width, m, ...ones], data: transpose(a.data, m, width) });
  return new Map([
    [part.down, axes > 0 ? wide(d) : tall(d)],
    [part.up, axes > 0 ? tall(u) : wide(u)],
    [part.offset, { dims: [m], data: offset }],
  ]);
}
