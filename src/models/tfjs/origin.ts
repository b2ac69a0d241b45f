import type { JsonObject } from './io/json.js';
import type { StoredTensor } from './io/weights.js';
import { DataType } from '../ir/messages.js';
import type { Model } from '../ir/model.js';
import type { LayerCall } from './layers-model/read.js';

/** What a graph-model is written with again. */
export class GraphOrigin {
  constructor(
    readonly json: JsonObject,
    readonly weights: ReadonlyMap<string, StoredTensor>,
  ) {}
}

/** What a layers-model is written with again: its layers, and what each became. */
export class LayersOrigin {
  constructor(
    readonly json: JsonObject,
    readonly calls: LayerCall[],
    readonly weights: ReadonlyMap<string, StoredTensor>,
  ) {}
}

/** Whether most of the weights came with fewer bits than a float32 has: they go with 16, where nothing else is asked for. */
export function cameReduced({ origin, types }: Pick<Model, 'origin' | 'types'>): boolean {
  if (!(origin instanceof GraphOrigin || origin instanceof LayersOrigin)) return types?.weights === DataType.FLOAT16;
  let [all, reduced] = [0, 0];
  for (const { data, reduced: own } of origin.weights.values()) {
    all += data.length;
    if (own === true) reduced += data.length;
  }
  return reduced > all / 2;
}
