import { makeInts, makeNode } from '../ir/attributes.js';
import { extract } from './extract.js';
import { NameSource } from './graph-index.js';
import { DataType, withFields, type NodeProto, type ValueInfoProto } from '../ir/messages.js';
import type { Model } from '../ir/model.js';

/** The rest of a network behind a linear map, and the names of what it has to be fed with. */
export interface BehindMap {
  model: Model;
  /** What the network had at `tensor`. */
  response: string;
  /** Vᵀ: [rank, m, 1, ...] for a feature map, [m, rank] for rows. */
  down: string;
  /** V: [m, rank, 1, ...] for a feature map, [rank, m] for rows. */
  up: string;
  /** [m] */
  offset: string;
  /** The other inputs of the part. */
  beside: string[];
}

/**
 * The part of a network that computes `to` from `tensor` and from `beside`, with tensor = V Vᵀ response + offset as its
 * first step: a low-rank change of a feature map then needs no copy of the map outside the runtime.
 *
 * @param axes spatial axes behind the channels; 0 where the channels are the last axis
 * @param beside further tensors that may be given to the part
 */
export function behindLinearMap(
  model: Model,
  tensor: string,
  { axes, beside, to }: { axes: number; beside: Iterable<string>; to: readonly string[] },
): BehindMap {
  const part = extract(model, [tensor, ...beside], to);
  const { graph } = part.model;
  const names = new NameSource(model.graph);
  const fresh = (what: string): string => names.fresh(`${tensor}_${what}`);
  const [response, down, up, offset] = [fresh('response'), fresh('down'), fresh('up'), fresh('offset')];
  const nodes = mapNodes({ from: response, to: tensor }, { down, up, offset }, axes, names);
  const changed = withFields(graph, {
    node: [...nodes, ...graph.node],
    input: [...graph.input.filter(({ name }) => name !== tensor), ...[response, down, up, offset].map(float)],
    // `extract` leaves out an output that it is given.
    output: [...graph.output, ...(to.includes(tensor) ? [float(tensor)] : [])],
  });
  return {
    model: { ...part.model, graph: changed, proto: withFields(part.model.proto, { graph: changed }) },
    ...{ response, down, up, offset },
    beside: part.inputs.filter((name) => name !== tensor),
  };
}

/** A network with a linear map behind several of its tensors, and the names of what it has to be fed with. */
export type ThroughMap = Pick<BehindMap, 'model' | 'down' | 'up' | 'offset' | 'beside'>;

/**
 * The part of a network that computes `to` from `beside`, in which each of `tensors` first goes through the same linear
 * map: t -> V Vᵀ t + offset. For weights that several nodes share: what changes them changes all these responses.
 *
 * @param axes spatial axes behind the channels; 0 where the channels are the last axis
 * @param beside tensors that may be given to the part; none of them may depend on one of `tensors`
 */
export function throughLinearMap(
  model: Model,
  tensors: readonly string[],
  { axes, beside, to }: { axes: number; beside: Iterable<string>; to: readonly string[] },
): ThroughMap {
  const part = extract(model, beside, to);
  const { graph } = part.model;
  const names = new NameSource(model.graph);
  const [first = ''] = tensors;
  const [down, up, offset] = ['down', 'up', 'offset'].map((what) => names.fresh(`${first}_${what}`));
  if (down === undefined || up === undefined || offset === undefined) throw new RangeError('a map without a name');
  const given = { down, up, offset };
  const behind = new Map<string, { from: string; nodes: NodeProto[] }>();
  for (const tensor of tensors) {
    const from = names.fresh(`${tensor}_response`);
    behind.set(tensor, { from, nodes: mapNodes({ from, to: tensor }, given, axes, names) });
  }
  const node = graph.node.flatMap((old): NodeProto[] => {
    const changed = old.output.flatMap((name) => behind.get(name) ?? []);
    if (changed.length === 0) return [old];
    const output = old.output.map((name) => behind.get(name)?.from ?? name);
    return [withFields(old, { output }), ...changed.flatMap(({ nodes }) => nodes)];
  });
  const changed = withFields(graph, { node, input: [...graph.input, ...[down, up, offset].map(float)] });
  return {
    model: { ...part.model, graph: changed, proto: withFields(part.model.proto, { graph: changed }) },
    ...given,
    beside: part.inputs,
  };
}

const float = (name: string): ValueInfoProto => ({ name, type: { tensorType: { elemType: DataType.FLOAT } } });

/** to = V Vᵀ from + offset */
function mapNodes(
  { from, to }: { from: string; to: string },
  { down, up, offset }: Pick<BehindMap, 'down' | 'up' | 'offset'>,
  axes: number,
  names: NameSource,
): NodeProto[] {
  const fresh = (what: string): string => names.fresh(`${to}_${what}`);
  const inner = fresh('inner');
  const conv = (inputs: string[], output: string): NodeProto =>
    makeNode('Conv', fresh('map'), inputs, [output], [makeInts('kernel_shape', new Array<number>(axes).fill(1))]);
  if (axes > 0) return [conv([from, down], inner), conv([inner, up, offset], to)];
  const sum = fresh('sum');
  return [
    makeNode('MatMul', fresh('map'), [from, down], [inner]),
    makeNode('MatMul', fresh('map'), [inner, up], [sum]),
    makeNode('Add', fresh('map'), [sum, offset], [to]),
  ];
}
