import type { SparsePart } from '../../sparse/index.js';
import type { NodeProto } from '../../ir/messages.js';
import type { LayerBuilder } from '../layer-builder.js';

/**
 * The sparse part by itself, from the layer's input to `to`, in the fastest standard form that was measured.
 * @param bias [m], or null: something else adds it
 */
export type SparseEmitter = (b: LayerBuilder, part: SparsePart, bias: Float32Array | null, to: string) => NodeProto[];
