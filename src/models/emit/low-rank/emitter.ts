import type { LowRank } from '../../layer.js';
import type { NodeProto } from '../../ir/messages.js';
import type { LayerBuilder } from '../layer-builder.js';

/** The nodes of a low-rank part, from the layer's input to `to`; `bias` has one number for every output of the part. */
export type LowRankEmitter = (b: LayerBuilder, part: LowRank, bias: Float32Array, to: string) => NodeProto[];
