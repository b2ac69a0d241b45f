import { matrix, type Engine, type Matrix } from '../../engines/index.js';
import type { SparsePart } from '../../models/sparse.js';
import { difference } from '../linalg/columns.js';
import { rawCoefficients } from '../low-rank/factors.js';
import { noFeatures, whitenedFeatures } from '../regression/features.js';
import { leastSquares, type Fit } from '../regression/fit.js';
import { maskedRegression, type MaskedInputs, type MaskedPart } from '../regression/masked-step.js';
import { topGroups } from './projections/top-groups.js';
import type { Selection } from './select-channels.js';
import { selectSupport, supportOf, type MaskedPattern, type Support } from './select-support.js';

const SELECTION_RIDGE = 1e-4;
/** The support and the low-rank part are found in turn (as in GoDec, Zhou and Tao 2011), this many times. */
const ROUNDS = 6;
const ITERATIONS = 10;

export interface ChosenPart {
  part: MaskedPart;
  /** Kept rows or blocks. */
  kept: number[];
}

/**
 * The support of a sparse part whose outputs see different inputs, beside a low-rank part of the shape `channel`.
 * @param weights W0 [m, d]
 */
export async function chooseMasked(
  engine: Engine,
  pattern: MaskedPattern,
  channels: number,
  { inputs: _, target, space, groups, rank, random }: Selection,
  inputs: MaskedInputs,
  weights: Matrix,
  ridge: number,
): Promise<ChosenPart> {
  const { rows: m, cols: d } = weights;
  const { columns, prior, limited } = space;
  const rounds = rank === 0 ? 1 : ROUNDS;
  if (columns.cols > 0 && !limited)
    throw new RangeError(`the pattern ${pattern} has no form beside this low-rank part`);
  const features =
    columns.cols === 0 ? noFeatures(target.rows) : await whitenedFeatures(engine, columns, 0, prior, SELECTION_RIDGE);
  try {
    let chosen: ChosenPart | null = null;
    for (let round = 1; ; round++) {
      // What S explains is taken away: nothing in the first round.
      const fit: Fit = await leastSquares(engine, { ...features, masked: chosen?.part }, target, rank, null, random);
      let rest = weights;
      if (fit.lowRank !== null) {
        const raw = rawCoefficients(features, fit);
        const right = matrix(fit.lowRank.left.cols, columns.cols, Float32Array.from(raw.right));
        const { p, q, rank: width } = await space.factors(fit.lowRank.left, right);
        rest = difference(weights, await engine.multiply(matrix(m, width, p), matrix(width, d, q)));
      }
      const count = pattern === 'filter' ? Math.ceil((groups * round) / rounds) : groups;
      const support: Support =
        pattern === 'filter'
          ? supportOf(pattern, topGroups(await rowEnergies(engine, inputs, rest), count), { m, channels }, d)
          : selectSupport(pattern, groups, rest, inputs.variances, channels);
      chosen = { part: partOf(inputs, pattern, support, rest, ridge), kept: support.kept };
      if (round >= rounds) return chosen;
    }
  } finally {
    features.held.dispose();
  }
}

/** Energies of the responses of W's rows. */
async function rowEnergies(engine: Engine, inputs: MaskedInputs, weights: Matrix): Promise<Float64Array> {
  const response = await engine.multiply(inputs.held, weights, { b: true });
  const energies = new Float64Array(weights.rows);
  response.data.forEach((x, i) => {
    const row = i % weights.rows;
    energies[row] = (energies[row] as number) + x * x;
  });
  return energies;
}

/** A part on a given support that starts at, and is pulled towards, the weights of `rest` there. */
export function partOf(
  inputs: MaskedInputs,
  pattern: MaskedPattern,
  { kept, mask }: Support,
  rest: Matrix,
  ridge: number,
): MaskedPart {
  const warm = matrix(
    rest.rows,
    rest.cols,
    rest.data.map((w, i) => (mask[i] === 0 ? 0 : w)),
  );
  return { inputs, mask, rows: pattern === 'filter' ? kept : [], prior: warm, ridge, warm };
}

/** The part of a solved layer again, on other inputs. */
export function keptPart(
  inputs: MaskedInputs,
  pattern: MaskedPattern,
  { kept, weights }: SparsePart,
  sizes: { m: number; d: number; channels: number },
  ridge: number,
): ChosenPart {
  const { m, d } = sizes;
  let dense = weights;
  if (pattern === 'filter') {
    dense = new Float32Array(m * d);
    kept.forEach((row, i) => dense.set(weights.subarray(i * d, (i + 1) * d), row * d));
  }
  const support =
    pattern === 'filter' || pattern === 'block'
      ? supportOf(pattern, kept, sizes, d)
      : { kept, mask: Uint8Array.from(weights, (w) => (w === 0 ? 0 : 1)) };
  return { part: partOf(inputs, pattern, support, matrix(m, d, dense), ridge), kept };
}

/** Coefficients [m, d] as a part of the layer. */
export function sparsePartOf(pattern: MaskedPattern, kept: number[], { data, cols }: Matrix): SparsePart {
  if (pattern !== 'filter') return { pattern, kept, weights: data };
  const weights = new Float32Array(kept.length * cols);
  kept.forEach((row, i) => weights.set(data.subarray(row * cols, (row + 1) * cols), i * cols));
  return { pattern, kept, weights };
}

/** Response of S to `target` by itself, its coefficients to convergence. Used where a curve is measured. */
export function regressed(engine: Engine, part: MaskedPart, target: Matrix): Promise<Matrix> {
  return maskedRegression(engine, part, target, ITERATIONS);
}
