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
  const own = response.data.map((value, i) => value + bias[i % m]);
  return { own, wanted: skip === undefined ? own : own.map((value, i) => value + skip[i]) };
}
