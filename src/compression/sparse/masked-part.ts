import { matrix, type Engine, type Matrix } from '../../engines/index.js';
import { PATTERN, type MaskedPattern, type SparsePart } from '../../models/sparse/index.js';
import { difference } from '../linalg/columns.js';
import { rawCoefficients } from '../low-rank/factors.js';
import { noFeatures, whitenedFeatures } from '../regression/features.js';
import { leastSquares, type Fit } from '../regression/fit.js';
import { maskedRegression, type MaskedInputs, type MaskedPart } from '../regression/masked-step.js';
import { topGroups } from './projections/top-groups.js';
import type { Selection } from './select-channels.js';
import { rowSupport } from './filter.js';
import { selectSupport, SUPPORT_RULES } from './index.js';
import type { LayerSizes, Support } from './support.js';

const SELECTION_RIDGE = 1e-4;
/** The support and the low-rank part are found in turn (as in GoDec, Zhou and Tao 2011), this many times. */
const ROUNDS = 6;
const ITERATIONS = 10;

export interface ChosenPart {
  part: MaskedPart;
  /** Kept rows or blocks. */
  kept: number[];
}

/** What a masked part is chosen for. */
export interface MaskedRequest {
  engine: Engine;
  pattern: MaskedPattern;
  inputs: MaskedInputs;
  ridge: number;
}

const keepsRows = (pattern: MaskedPattern): boolean => PATTERN[pattern].stores === 'rows';

/**
 * The support of a sparse part whose outputs see different inputs, beside a low-rank part whose rank limits it.
 * @param layer W0 [m, d], of so many input channels
 */
export async function chooseMasked(
  request: MaskedRequest,
  { weights, channels }: { weights: Matrix; channels: number },
  { target, space, groups, rank, random }: Omit<Selection, 'inputs'>,
): Promise<ChosenPart> {
  const { engine, pattern, inputs } = request;
  const { rows: m, cols: d } = weights;
  const { columns, prior, limited } = space;
  const rounds = rank === 0 ? 1 : ROUNDS;
  if (columns.cols > 0 && !limited)
    throw new RangeError(`the pattern ${pattern} has no form beside this low-rank part`);
  const features =
    columns.cols === 0
      ? noFeatures(target.rows)
      : await whitenedFeatures(engine, columns, { free: 0, prior, ridge: SELECTION_RIDGE });
  try {
    let chosen: ChosenPart | null = null;
    for (let round = 1; ; round++) {
      // What S explains is taken away: nothing in the first round.
      const fit: Fit = await leastSquares(engine, { ...features, masked: chosen?.part }, target, {
        rank,
        warm: null,
        random,
      });
      let rest = weights;
      if (fit.lowRank !== null) {
        const raw = rawCoefficients(features, fit);
        const right = matrix(fit.lowRank.left.cols, columns.cols, Float32Array.from(raw.right));
        const { p, q, rank: width } = await space.factors(fit.lowRank.left, right);
        rest = difference(weights, await engine.multiply(matrix(m, width, p), matrix(width, d, q)));
      }
      const { variances } = inputs;
      // Rows are judged by their responses, and taken one batch a round.
      const support = keepsRows(pattern)
        ? rowSupport(topGroups(await rowEnergies(engine, inputs, rest), Math.ceil((groups * round) / rounds)), { m, d })
        : selectSupport(pattern, groups, { rest, variances, channels });
      chosen = { part: partOf(request, support, rest), kept: support.kept };
      if (round >= rounds) return chosen;
    }
  } finally {
    features.held.dispose();
  }
}

/** Energies of the responses of W's rows. */
async function rowEnergies(engine: Engine, inputs: MaskedInputs, weights: Matrix): Promise<Float64Array> {
  const response = await engine.multiply(inputs.held, weights, { transposeB: true });
  const energies = new Float64Array(weights.rows);
  response.data.forEach((x, i) => {
    const row = i % weights.rows;
    energies[row] = energies[row] + x * x;
  });
  return energies;
}

/** A part on a given support that starts at, and is pulled towards, the weights of `rest` there. */
export function partOf(
  { inputs, pattern, ridge }: Omit<MaskedRequest, 'engine'>,
  { kept, mask }: Support,
  rest: Matrix,
): MaskedPart {
  const warm = matrix(
    rest.rows,
    rest.cols,
    rest.data.map((w, i) => (mask[i] === 0 ? 0 : w)),
  );
  return { inputs, mask, rows: keepsRows(pattern) ? kept : [], prior: warm, ridge, warm };
}

/** The part of a solved layer again, on other inputs. */
export function keptPart(request: Omit<MaskedRequest, 'engine'>, part: SparsePart, sizes: LayerSizes): ChosenPart {
  const { pattern } = request;
  const { kept, weights } = part;
  const { m, d } = sizes;
  let dense = weights;
  if (keepsRows(pattern)) {
    dense = new Float32Array(m * d);
    kept.forEach((row, i) => dense.set(weights.subarray(i * d, (i + 1) * d), row * d));
  }
  const support = SUPPORT_RULES[pattern].restore(part, sizes);
  return { part: partOf(request, support, matrix(m, d, dense)), kept };
}

/** Coefficients [m, d] as a part of the layer. */
export function sparsePartOf(pattern: MaskedPattern, kept: number[], { data, cols }: Matrix): SparsePart {
  if (!keepsRows(pattern)) return { pattern, kept, weights: data };
  const weights = new Float32Array(kept.length * cols);
  kept.forEach((row, i) => weights.set(data.subarray(row * cols, (row + 1) * cols), i * cols));
  return { pattern, kept, weights };
}

/** Response of S to `target` by itself, its coefficients to convergence. Used where a curve is measured. */
export function regressed(engine: Engine, part: MaskedPart, target: Matrix): Promise<Matrix> {
  return maskedRegression(engine, part, target, ITERATIONS);
}
