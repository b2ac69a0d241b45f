import { NameSource } from '../graph/graph-index.js';
import { LayerBuilder } from './layer-builder.js';
import { MadeTensors } from './made-tensors.js';
import { withFields, type NodeProto, type TensorProto } from '../ir/messages.js';
import type { Model } from '../ir/model.js';
import { biasShifts } from '../layers/find-layers.js';
import { tidy } from '../passes/prepare.js';
import { weightedNodes } from '../graph/weighted-nodes.js';
import { narrowBetween, narrowings, onKept, withKept } from './narrow.js';
import { isNone, type Replacement } from './replacement.js';

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
  const narrowed = narrowings(model, replacements);
  const narrowOutputs = new Map(narrowed.map((narrowing) => [narrowing.tie.producer.name, narrowing]));
  const narrowInputs = new Map(narrowed.map((narrowing) => [narrowing.tie.reader.name, narrowing]));
  const changed = new Set([...replacements.keys(), ...narrowOutputs.keys()]);
  for (const name of changed) {
    const layer = layers.get(name);
    const given = replacements.get(name);
    if (layer === undefined || layer.blocked !== null || layer.first !== null)
      throw new RangeError(`${name} is not a layer that can be replaced`);
    const output = narrowOutputs.get(name);
    if (output === undefined && (given === undefined || isNone(given))) continue;
    const uses = nodes.filter((node) => node === layer || node.first === name);
    const shifts = uses.length === 1 ? [] : biasShifts(model, layer);
    const tensors = new MadeTensors(names, initializer);
    for (const [i, use] of uses.entries()) {
      const own = given === undefined ? undefined : shifted(given, shifts[i] ?? null);
      const input = narrowInputs.get(name);
      const inside =
        input === undefined || own === undefined ? { layer: use, replacement: own } : onKept(use, own, input);
      const { layer: narrow, replacement } =
        output === undefined ? inside : withKept(inside.layer, inside.replacement, output, model.directory);
      if (replacement === undefined) continue;
      const builder = new LayerBuilder(narrow, names, tensors, model.opset);
      changes.set(use.node, 'lowRank' in replacement ? builder.factored(replacement) : builder.dense(replacement));
      if (use.add !== null) changes.set(use.add, []);
    }
  }
  for (const narrowing of narrowed) {
    const tensors = new MadeTensors(names, initializer);
    for (const [old, node] of narrowBetween(model, narrowing, { names, tensors })) changes.set(old, [node]);
  }
  const node = model.graph.node.flatMap((old) => changes.get(old) ?? [old]);
  const graph = withFields(model.graph, { node, initializer });
  tidy(graph);
  return { ...model, graph, proto: withFields(model.proto, { graph }) };
}

/** For a use of the layer whose bias differs from the first one's. */
const shifted = (replacement: Replacement, shift: Float32Array | null): Replacement =>
  shift === null ? replacement : { ...replacement, bias: replacement.bias.map((value, i) => value + shift[i]) };
