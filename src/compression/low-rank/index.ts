import { matrix } from '../../engines/index.js';
import type { LowRankShape } from '../../models/low-rank/index.js';
import { channel } from './channel.js';
import { pointwise } from './pointwise.js';
import type { GivenPart, LastFactor, LowRankSpace, ShapeFit, SpaceRequest } from './shape-fit.js';
import { spatial } from './spatial.js';
import { tucker } from './tucker.js';

export type { FirstConvolution, LowRankSpace, ShapeFit } from './shape-fit.js';

/** How each shape of the low-rank part is fitted. */
export const SHAPE_FITS: Readonly<Record<LowRankShape, ShapeFit>> = { channel, tucker, spatial, pointwise };

/** What the low-rank part of the wanted size is regressed on; no columns for one of rank 0. */
export async function lowRankSpace(request: SpaceRequest): Promise<LowRankSpace> {
  const { size, layer } = request;
  if (size.rank > 0) return SHAPE_FITS[size.shape].space(request);
  return {
    columns: matrix(layer.inputs.rows, 0),
    prior: matrix(layer.weights.rows, 0),
    onInputs: () => Promise.resolve(matrix(0, layer.inputs.cols)),
    limited: true,
    factors: () => Promise.reject(new RangeError('a low-rank part of rank 0')),
  };
}

/** Whether that is the same however far a fit leans on the original weights: no functionals are chosen by it. */
export const isSameForAllLeans = ({ size }: Pick<SpaceRequest, 'size'>): boolean =>
  size.rank === 0 || SHAPE_FITS[size.shape].firstConvolution === null;

/** Columns [N, v] and coefficients [m, v] whose product is the low-rank part's response. */
export const lastFactor = (given: GivenPart): Promise<LastFactor> => SHAPE_FITS[given.part.shape].lastFactor(given);
