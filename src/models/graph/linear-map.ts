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
  const [response, down, up, offset, inner] = [
    fresh('response'),
    fresh('down'),
    fresh('up'),
    fresh('offset'),
    fresh('inner'),
  ];
  const conv = (inputs: string[], output: string): NodeProto =>
    makeNode('Conv', fresh('map'), inputs, [output], [makeInts('kernel_shape', new Array<number>(axes).fill(1))]);
  const sum = fresh('sum');
  const nodes =
    axes > 0
      ? [conv([response, down], inner), conv([inner, up, offset], tensor)]
      : [
          makeNode('MatMul', fresh('map'), [response, down], [inner]),
          makeNode('MatMul', fresh('map'), [inner, up], [sum]),
          makeNode('Add', fresh('map'), [sum, offset], [tensor]),
        ];
  const float = (name: string): ValueInfoProto => ({ name, type: { tensorType: { elemType: DataType.FLOAT } } });
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
