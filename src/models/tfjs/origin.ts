import type { JsonObject } from './io/json.js';
import type { StoredTensor } from './io/weights.js';
import type { LayerCall } from './layers-model/read.js';

/** What a graph-model is written with again. */
export class GraphOrigin {
  constructor(readonly json: JsonObject) {}
}

/** What a layers-model is written with again: its layers, and what each became. */
export class LayersOrigin {
  constructor(
    readonly json: JsonObject,
    readonly calls: LayerCall[],
    readonly weights: ReadonlyMap<string, StoredTensor>,
  ) {}
}
