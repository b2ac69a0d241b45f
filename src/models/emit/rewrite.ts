import type { Factors } from '../layer.js';
import type { DenseWeights } from '../graph/dense-weights.js';
import { NameSource } from '../graph/graph-index.js';
import { LayerBuilder } from './layer-builder.js';
import { MadeTensors } from './made-tensors.js';
import { withFields, type NodeProto, type TensorProto } from '../ir/messages.js';
import type { Model } from '../ir/model.js';
import { biasShifts } from '../layers/find-layers.js';
import { tidy } from '../passes/prepare.js';
import { weightedNodes } from '../graph/weighted-nodes.js';

/** New dense weights, or a low-rank plus sparse pair of branches. */
export type Replacement = DenseWeights | Factors;

/**
 * A copy of a prepared model with some layers replaced; everything else is shared with `model`.
 * @param replacements by layer name
 */
export function rewrite(model: Model, replacements: ReadonlyMap<string, Replacement>): Model {
  const nodes = weightedNodes(model);
  const layers = new Map(nodes.map((layer) => [layer.name, layer]));
  const names = new NameSource(model.graph);
  const changes = new Map<NodeProto, NodeProto[]>();
  const initializer: TensorProto[] = [...model.graph.initializer];
  for (const [name, replacement] of replacements) {
    const layer = layers.get(name);
    if (layer === undefined || layer.blocked !== null || layer.first !== null)
      throw new RangeError(`${name} is not a layer that can be replaced`);
    if ('lowRank' in replacement && replacement.lowRank === null && replacement.sparse === null) continue;
    const uses = nodes.filter((node) => node === layer || node.first === name);
    const shifts = uses.length === 1 ? [] : biasShifts(model, layer);
    const tensors = new MadeTensors(names, initializer);
    for (const [i, use] of uses.entries()) {
      const builder = new LayerBuilder(use, names, tensors, model.opset);
      const own = shifted(replacement, shifts[i] ?? null);
      changes.set(use.node, 'lowRank' in own ? builder.factored(own) : builder.dense(own));
      if (use.add !== null) changes.set(use.add, []);
    }
  }
  const node = model.graph.node.flatMap((old) => changes.get(old) ?? [old]);
  const graph = withFields(model.graph, { node, initializer });
  tidy(graph);
  return { ...model, graph, proto: withFields(model.proto, { graph }) };
}

/** For a use of the layer whose bias differs from the first one's. */
const shifted = (replacement: Replacement, shift: Float32Array | null): Replacement =>
  shift === null ? replacement : { ...replacement, bias: replacement.bias.map((value, i) => value + shift[i]) };
