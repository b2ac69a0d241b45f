import { intsAttribute, makeInts, stringAttribute } from '../ir/attributes.js';
import { GraphIndex } from '../graph/graph-index.js';
import { withFields, type NodeProto } from '../ir/messages.js';
import type { Model } from '../ir/model.js';
import { isOperator } from '../ir/operator.js';
import { scalarValue, tensorInts } from '../ir/tensors.js';

/**
 * The same network with zeros that a Pad puts around a feature map as pads of the convolutions that read it: a Pad
 * between integers would make two ways over float32 of one. Needs an opset of 11 at least, where the amounts are an input.
 */
export function foldPads(model: Model): Model {
  const { graph } = model;
  const index = new GraphIndex(graph);
  const changes = new Map<NodeProto, NodeProto | null>();
  for (const pad of graph.node) {
    const amounts = spatialZeros(pad, index, model);
    const [output = ''] = pad.output;
    const readers = index.consumers(output);
    if (amounts === null || index.isOutput(output) || readers.length === 0) continue;
    const widened = readers.map((reader) => widen(changes.get(reader) ?? reader, { pad, amounts }));
    if (widened.some((node) => node === null)) continue;
    changes.set(pad, null);
    for (const [i, reader] of readers.entries()) changes.set(reader, widened[i] ?? reader);
  }
  if (changes.size === 0) return model;
  const own = withFields(graph, { node: graph.node.flatMap((old) => changed(changes, old)) });
  return { ...model, graph: own, proto: withFields(model.proto, { graph: own }) };
}

function changed(changes: ReadonlyMap<NodeProto, NodeProto | null>, node: NodeProto): NodeProto[] {
  const now = changes.get(node);
  return now === null ? [] : [now ?? node];
}

/** Zeros before and behind every axis but the first two, as a convolution counts them; null: anything else. */
function spatialZeros(node: NodeProto, index: GraphIndex, { directory }: Model): number[] | null {
  if (!isOperator(node, 'Pad') || stringAttribute(node, 'mode', 'constant') !== 'constant') return null;
  const [, amounts, value = '', axes = ''] = node.input;
  const given = index.initializer(amounts);
  if (given === null || axes !== '') return null;
  const filled = index.initializer(value);
  if (value !== '' && (filled === null || scalarValue(filled, directory) !== 0)) return null;
  const all = tensorInts(given, directory);
  const rank = all.length / 2;
  const [begins, ends] = [all.slice(0, rank), all.slice(rank)];
  const outer = [...begins.slice(0, 2), ...ends.slice(0, 2)];
  if (!Number.isInteger(rank) || rank < 3 || outer.some((n) => n !== 0) || all.some((n) => n < 0)) return null;
  return [...begins.slice(2), ...ends.slice(2)];
}

/** The convolution over what the Pad reads; null where it is none, or works out its own pads. */
function widen(node: NodeProto, { pad, amounts }: { pad: NodeProto; amounts: readonly number[] }): NodeProto | null {
  const [output = ''] = pad.output;
  if (!isOperator(node, 'Conv') || node.input[0] !== output || node.input.slice(1).includes(output)) return null;
  const autoPad = stringAttribute(node, 'auto_pad', 'NOTSET');
  if (autoPad !== 'NOTSET' && autoPad !== 'VALID') return null;
  const own = (autoPad === 'VALID' ? null : intsAttribute(node, 'pads')) ?? amounts.map(() => 0);
  if (own.length !== amounts.length) return null;
  const attribute = node.attribute.filter(({ name }) => name !== 'pads' && name !== 'auto_pad');
  return withFields(node, {
    input: [pad.input[0] ?? '', ...node.input.slice(1)],
    attribute: [
      ...attribute,
      makeInts(
        'pads',
        own.map((n, i) => n + (amounts[i] ?? 0)),
      ),
    ],
  });
}
