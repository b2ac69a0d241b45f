import { MAX_ELIMINATED_COLUMNS, mostLeanTries } from '../../compression/index.js';
import { LOW_RANK_SHAPES, type Activation, type Layer } from '../../models/index.js';

/**
 * What the parts of a job cost, counted before they begin, in multiply-accumulates as the runtime does them: some 4e10
 * a second on two quiet cores. Counted and not timed, so that a job comes to the same plan on every machine.
 */

/** What an element of a feature map costs to write, and to put through an activation. */
const ELEMENT_MACS = 40;
/** The same in the solver's own passes over a matrix, one iteration. */
const SOLVER_ELEMENT_MACS = 60;
/** With activations whose step has more to it than a comparison; those with an exponential in it are searched for. */
const COSTLY: Partial<Record<Activation['kind'], number>> = {
  ...{ hard_swish: 100, hard_sigmoid: 200 },
  ...{ elu: 450, sigmoid: 450, tanh: 450, silu: 450, gelu: 630, softplus: 630 },
};
/** Shapes that narrow the input of a convolution with a kernel of two axes. */
const tapShapes = (transposed: boolean): number =>
  Object.values(LOW_RANK_SHAPES).filter(
    (shape) => shape.narrows !== 'output' && shape.applies({ channels: 2, taps: 9, lastAxes: 3, transposed }),
  ).length;
const TAP_SHAPES = { plain: tapShapes(false), transposed: tapShapes(true) };
/** Products of all samples with a layer's weights that its statistics make, for all curves. */
const STATISTICS_PRODUCTS = 8;
/** Widest features of a narrow first convolution, as in its statistics. */
const TAP_COLUMNS = 1440;
const CURVE_RANKS = 64;
const HELD_OUT = 1 / 5;
/** Of a cube of directions: an eigen-decomposition outside of the runtime. */
const EIGEN_MACS = 100;
const DIRECTIONS = 512;
/** Of the columns of a layer: two Cholesky factors and their inverses, and what channels that go leave. */
const WIDTH_CUBES = 12;
/** Products of all samples with a layer's weights before the iterations of a solve. */
const SOLVE_PRODUCTS = 6;
/** The same of each linear fit that is tried to choose how far the solve leans on the original weights. */
const LEAN_PRODUCTS = 4;
/** Where those share their columns: of all, and of each. */
const SHARED_LEAN_PRODUCTS = { all: 3, each: 1 };
/** Rank of a solved layer, as a share of its outputs; known only when the plan is made. */
const USUAL_RANK = 1 / 4;

export type Counted = Pick<
  Layer,
  'macs' | 'm' | 'positions' | 'blocked' | 'd' | 'channels' | 'transposed' | 'uses' | 'narrows'
> &
  Partial<Pick<Layer, 'activation'>>;

/** One layer on one image. */
const layerWork = ({ macs, m, positions }: Pick<Layer, 'macs' | 'm' | 'positions'>): number =>
  macs + ELEMENT_MACS * m * positions;

/** One image through all layers. */
export const passWork = (layers: readonly Pick<Layer, 'macs' | 'm' | 'positions'>[]): number =>
  layers.reduce((sum, layer) => sum + layerWork(layer), 0);

type Narrowed = Pick<Layer, 'd' | 'channels' | 'transposed' | 'narrows'>;

const tapsOf = ({ d, channels, transposed }: Narrowed): number =>
  d > channels ? TAP_SHAPES[transposed === undefined ? 'plain' : 'transposed'] : 0;

/** Whether a layer is looked at with some of its input channels alone. */
const losesChannels = ({ narrows, d }: Narrowed): boolean => narrows !== undefined && d <= MAX_ELIMINATED_COLUMNS;

/**
 * Of every layer: one image through everything behind it, once for each of its probes. Shared weights are run with all
 * their uses.
 */
export function probeWorks(
  layers: readonly Counted[],
  { layerErrors, tapErrors }: { layerErrors: readonly number[]; tapErrors: readonly number[] },
): number[] {
  let rest = passWork(layers);
  return layers.map((layer) => {
    rest -= layerWork(layer);
    const behind = layer.uses === undefined ? rest : rest + layerWork(layer);
    return layer.blocked === null
      ? behind * (layerErrors.length + (tapsOf(layer) + Number(losesChannels(layer))) * tapErrors.length)
      : 0;
  });
}

/**
 * How the error of a layer falls with its size, on `samples` of its inputs: products, features of narrow first
 * convolutions, curves.
 */
export function statisticsWork(layer: Pick<Layer, 'm' | 'blocked'> & Narrowed, samples: number): number {
  const { m, d, blocked } = layer;
  if (blocked !== null) return 0;
  const products = STATISTICS_PRODUCTS * samples * d * m;
  const columns = Math.min(TAP_COLUMNS, d, samples / 2);
  const taps = tapsOf(layer) * (2 * samples * columns ** 2 + columns ** 3 + samples * columns * m);
  const curves = (1 + 3 + tapsOf(layer) * 4) * CURVE_RANKS * HELD_OUT * samples * m * SOLVER_ELEMENT_MACS * 0.25;
  const widths = losesChannels(layer) ? samples * d * (2 * d + 2 * m) + WIDTH_CUBES * d ** 3 : 0;
  return products + taps + widths + curves + EIGEN_MACS * Math.min(m, DIRECTIONS) ** 3;
}

/** One fit of a layer, iterations included; a refit is one more. What samples are chosen by: it must not change with what a version does faster. */
export function solveWork(
  { m, d, blocked }: Pick<Layer, 'm' | 'd' | 'blocked'>,
  samples: number,
  iterations: number,
): number {
  if (blocked !== null) return 0;
  const products = SOLVE_PRODUCTS + LEAN_PRODUCTS * mostLeanTries({ m, d }, samples);
  return workOf({ m, d }, { samples, iterations, products, element: SOLVER_ELEMENT_MACS });
}

/** The same as it takes time. Fits that choose functionals for several taps share nothing. */
export function solveTime(
  {
    m,
    d,
    channels,
    blocked,
    activation,
  }: Pick<Layer, 'm' | 'd' | 'channels' | 'blocked'> & Partial<Pick<Layer, 'activation'>>,
  samples: number,
  iterations: number,
): number {
  if (blocked !== null) return 0;
  const tries = mostLeanTries({ m, d }, samples);
  const { all, each } = SHARED_LEAN_PRODUCTS;
  const leaning = d > channels ? LEAN_PRODUCTS * tries : tries === 0 ? 0 : all + each * tries;
  const element = COSTLY[activation?.kind ?? 'relu'] ?? SOLVER_ELEMENT_MACS;
  return workOf({ m, d }, { samples, iterations, products: SOLVE_PRODUCTS + leaning, element });
}

function workOf(
  { m, d }: { m: number; d: number },
  { samples, iterations, products, element }: Record<'samples' | 'iterations' | 'products' | 'element', number>,
): number {
  const each = samples * m * (USUAL_RANK * m + element);
  return products * samples * d * m + iterations * each + EIGEN_MACS * Math.min(m, DIRECTIONS) ** 3;
}
