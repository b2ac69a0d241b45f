import type { Factors } from '../layer.js';
import type { DenseWeights } from '../graph/dense-weights.js';
import { NameSource } from '../graph/graph-index.js';
import { LayerBuilder } from './layer-builder.js';
import { withFields, type NodeProto, type TensorProto } from '../ir/messages.js';
import type { Model } from '../ir/model.js';
import { tidy } from '../passes/prepare.js';
import { weightedNodes } from '../graph/weighted-nodes.js';

/** New dense weights, or a low-rank plus sparse pair of branches. */
export type Replacement = DenseWeights | Factors;

/**
 * A copy of a prepared model with some layers replaced; everything else is shared with `model`.
 * @param replacements by layer name
 */
export function rewrite(model: Model, replacements: ReadonlyMap<string, Replacement>): Model {
  const layers = new Map(weightedNodes(model).map((layer) => [layer.name, layer]));
  const names = new NameSource(model.graph);
  const changes = new Map<NodeProto, NodeProto[]>();
  const initializer: TensorProto[] = [...model.graph.initializer];
  for (const [name, replacement] of replacements) {
    const layer = layers.get(name);
    if (layer === undefined || layer.blocked !== null)
      throw new RangeError(`${name} is not a layer that can be replaced`);
    if ('lowRank' in replacement && replacement.lowRank === null && replacement.sparse === null) continue;
    const builder = new LayerBuilder(layer, names, initializer, model.opset);
    changes.set(layer.node, 'lowRank' in replacement ? builder.factored(replacement) : builder.dense(replacement));
    if (layer.add !== null) changes.set(layer.add, []);
  }
  const node = model.graph.node.flatMap((old) => changes.get(old) ?? [old]);
  const graph = withFields(model.graph, { node, initializer });
  tidy(graph);
  return { ...model, graph, proto: withFields(model.proto, { graph }) };
}
