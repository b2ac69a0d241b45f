import type { LayerProblem } from '../../../compression/index.js';
import { matrix, type Engine } from '../../../engines/index.js';
import type { Layer } from '../../../models/index.js';

/** [N, m], before the activation, at the samples of a problem. */
export interface LayerResponse {
  /** The layer's own. */
  own: Float32Array;
  /** What a skip branch adds included. */
  wanted: Float32Array;
}

export async function layerResponse(
  engine: Engine,
  { m, d }: Pick<Layer, 'm' | 'd'>,
  { inputs, weights, bias, skip }: LayerProblem,
): Promise<LayerResponse> {
  const response = await engine.multiply(matrix(inputs.length / d, d, inputs), matrix(m, d, weights), {
    transposeB: true,
  });
  const own = response.data;
  for (let i = 0; i < own.length; i++) own[i] = own[i] + bias[i % m];
  if (skip === undefined) return { own, wanted: own };
  const wanted = new Float32Array(own.length);
  for (let i = 0; i < own.length; i++) wanted[i] = own[i] + skip[i];
  return { own, wanted };
}
