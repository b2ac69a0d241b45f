import type { Engine, Matrix } from '../../engines/index.js';
import type { LayerSize, LowRank } from '../../models/layer.js';
import type { Patch } from '../../models/low-rank/index.js';
import type { ResponseMetric } from '../regression/response-metric.js';
import type { TapSplit } from './tap-basis.js';

/** Columns [N, v] that the low-rank part acts on, and the coefficients of the original layer on them. */
export interface LowRankSpace {
  columns: Matrix;
  /** [m, v] */
  prior: Matrix;
  /** The columns as rows on the inputs, [v, d]: columns = inputs onInputsᵀ. */
  onInputs(): Promise<Matrix>;
  /** Whether the rank limits the coefficients; else the number of columns already does. */
  limited: boolean;
  /** The factors of coefficients `left` [m, k] `right` [k, v], or of unlimited ones: `left` [m, v] and no `right`. */
  factors(left: Matrix, right: Matrix | null): Promise<LowRank>;
}

export interface LayerMatrices {
  /** [N, d] */
  inputs: Matrix;
  /** [m, d] */
  weights: Matrix;
  /** [N, m]: weights applied to the inputs. */
  response: Matrix;
}

/** A low-rank part that is wanted. */
export interface SpaceRequest {
  engine: Engine;
  layer: LayerMatrices;
  patch: Patch;
  size: LayerSize;
  /** What a part without a first convolution of its own is regressed on: the layer's own response, or its inputs. */
  kind: 'response' | 'inputs';
  metric: ResponseMetric | null;
  /**
   * Added to the variance of every input where directions are chosen: so far they count alike, whatever the samples
   * say.
   */
  lean: number;
  /** A low-rank part of the same size, whose functionals are taken. */
  keep: LowRank | null;
  random: () => number;
}

/** A part's response as a product whose second factor can be changed. */
export interface LastFactor {
  /** [N, v] */
  columns: Matrix;
  /** [m, v]: `p`, tap by tap. */
  coefficients: Matrix;
  restore(coefficients: Matrix): LowRank;
}

export interface GivenPart {
  engine: Engine;
  part: LowRank;
  /** [N, d] */
  inputs: Matrix;
  patch: Patch;
}

/** A first convolution that applies the same few linear functionals at every tap. */
export interface FirstConvolution {
  split(patch: Patch): TapSplit;
  /**
   * Widths to look at, ascending.
   * @param outputs of the layer
   * @param limit no more than so many are well determined
   */
  widths(outputs: number, limit: number): number[];
}

/** How one shape of the low-rank part is fitted to a layer. */
export interface ShapeFit {
  /** Null where the first convolution is as wide as the layer's own. */
  firstConvolution: FirstConvolution | null;
  space(request: SpaceRequest): Promise<LowRankSpace>;
  lastFactor(given: GivenPart): Promise<LastFactor>;
}
