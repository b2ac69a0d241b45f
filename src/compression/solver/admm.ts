import { InputError } from '../../errors/index.js';
import type { Activation } from '../../models/activation.js';
import { matrix, type Engine, type Matrix } from '../../engines/index.js';
import { scaleInPlace } from '../activations/elementwise.js';
import type { Features } from '../regression/features.js';
import { leastSquares, type Fit } from '../regression/fit.js';
import { passesOf } from '../simd/passes-of.js';

export interface Tolerances {
  /** Of the residuals' root mean square, relative to that of the response. */
  absolute: number;
  relative: number;
}

export interface AdmmOptions {
  rank: number;
  maxIterations: number;
  tolerances: Tolerances;
  /** Initial penalty. */
  rho: number;
  /** End before the residuals do when the kept loss hardly falls any more. */
  stopWhenStalled?: boolean;
  /** Keep `rho` as it is. */
  fixedRho?: boolean;
  random: () => number;
  signal?: AbortSignal | undefined;
  onIteration?: ((iteration: number) => void) | undefined;
}

export interface AdmmResult {
  /** The iterate with the lowest loss. */
  best: Fit;
  /** || y - r(best) ||² */
  loss: number;
  iterations: number;
  converged: boolean;
  primalResidual: number;
  dualResidual: number;
  rho: number;
  /** Lowest loss after the start and after every iteration. */
  merit: number[];
}

const BALANCE = 4;
const STALL_WINDOW = 6;
/**
 * The problem is not convex: below a penalty of about twice the curvature of the loss the iterates may circle with
 * balanced residuals for ever. A primal residual that has not fallen by a tenth in this many iterations raises rho.
 */
const CIRCLING_WINDOW = 10;
const RHO_STEP = 1.6;
const RHO_RANGE = [1e-2, 1e4] as const;

export interface ActivatedProblem {
  features: Features;
  activation: Activation;
  /** Wanted values after the activation, [N, m]. */
  y: Matrix;
  /** The fit to begin at and to beat. */
  start: Fit;
}

/**
 * ADMM for min || y - r(Z) ||²/2 subject to Z = (S + L) X + b: two blocks, Z elementwise and (S, L, b) jointly, which
 * is exact up to the rank limit. Stops by Boyd et al. 2011, section 3.3.1; `rho` is adapted by residual balancing,
 * section 3.4.1.
 */
export async function admm(
  engine: Engine,
  { features, activation, y, start }: ActivatedProblem,
  options: AdmmOptions,
): Promise<AdmmResult> {
  const passes = passesOf(activation);
  const size = y.data.length;
  const scale = Math.sqrt(size);
  const z = Float32Array.from(start.prediction.data);
  const u = new Float32Array(size);
  const target = matrix(y.rows, y.cols);
  let fit = start;
  let { rho } = options;
  let loss = passes.loss(y.data, start.prediction.data);
  const result: AdmmResult = {
    best: start,
    loss,
    iterations: 0,
    converged: false,
    primalResidual: 0,
    dualResidual: 0,
    rho,
    merit: [loss],
  };
  let lowestPrimal = Infinity;
  let improvedAt = 0;
  const unit = rootMeanSquare(start.prediction.data);
  for (let iteration = 1; iteration <= options.maxIterations; iteration++) {
    options.signal?.throwIfAborted();
    const f = fit.prediction.data;
    passes.split({ y: y.data, f, u, rho, z, target: target.data });
    fit = await leastSquares(engine, features, target, { rank: options.rank, warm: fit.warm, random: options.random });
    const sums = passes.dual({ y: y.data, z, previous: f, next: fit.prediction.data, target: target.data, u });
    loss = sums.loss;
    if (!Number.isFinite(loss) || !Number.isFinite(sums.primal)) {
      throw new InputError(
        'numerical_breakdown',
        `ADMM iteration ${iteration} gave loss ${loss}, squared primal residual ${sums.primal}, rho ${rho}`,
      );
    }
    if (loss < result.loss) {
      result.best = fit;
      result.loss = loss;
    }
    result.iterations = iteration;
    result.merit.push(result.loss);
    result.primalResidual = Math.sqrt(sums.primal) / scale;
    result.dualResidual = (rho * Math.sqrt(sums.dual)) / scale;
    result.rho = rho;
    options.onIteration?.(iteration);
    const { absolute, relative } = options.tolerances;
    const primalLimit = absolute * unit + (relative * Math.sqrt(Math.max(sums.z, sums.f))) / scale;
    const dualLimit = absolute * unit + (relative * rho * Math.sqrt(sums.u)) / scale;
    if (result.primalResidual <= primalLimit && result.dualResidual <= dualLimit) {
      result.converged = true;
      break;
    }
    if (options.stopWhenStalled === true && stalled(result.merit)) break;
    if (options.fixedRho === true) continue;
    if (result.primalResidual < 0.9 * lowestPrimal) {
      lowestPrimal = result.primalResidual;
      improvedAt = iteration;
    }
    const circling = iteration - improvedAt >= CIRCLING_WINDOW;
    if (circling) improvedAt = iteration;
    rho = balanced(rho, result, { primalLimit, dualLimit, circling }, u);
  }
  return result;
}

/** The kept loss has fallen by less than half a percent in six iterations: the rest is the polish's. */
function stalled(merit: readonly number[]): boolean {
  const before = merit.at(-1 - STALL_WINDOW);
  const now = merit.at(-1);
  return before !== undefined && now !== undefined && before - now <= 5e-3 * before;
}

/** A larger rho presses the primal residual, a smaller one the dual; the scaled dual variable is rescaled with it. */
function balanced(
  rho: number,
  at: AdmmResult,
  { primalLimit, dualLimit, circling }: { primalLimit: number; dualLimit: number; circling: boolean },
  u: Float32Array,
): number {
  const primal = at.primalResidual / primalLimit;
  const dual = at.dualResidual / dualLimit;
  const factor = circling || primal > BALANCE * dual ? RHO_STEP : dual > BALANCE * primal ? 1 / RHO_STEP : 1;
  const next = Math.min(RHO_RANGE[1], Math.max(RHO_RANGE[0], rho * factor));
  if (next !== rho) scaleInPlace(u, rho / next);
  return next;
}

function rootMeanSquare(a: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * a[i];
  return Math.sqrt(sum / a.length);
}
