import { allNodes, subgraphs } from './graph-index.js';
import type { GraphProto, NodeProto, TensorProto } from '../ir/messages.js';
import { isOperator, operatorOf } from '../ir/operator.js';
import { elementCount, tensorDims } from '../ir/tensors.js';

const LAYERS = ['Conv', 'ConvTranspose', 'Gemm', 'MatMul', 'LSTM', 'GRU', 'RNN'] as const;

/** A layer in a branch or a body: it is run as it is, and no step looks into it. */
export interface InsideLayer {
  name: string;
  /** `If`, `Loop` or `Scan` of the graph around it. */
  holder: string;
  /** Constants that it reads. */
  weights: TensorProto[];
}

/** Layers in the subgraphs of a graph's nodes. */
export function layersInside(graph: Pick<GraphProto, 'node' | 'initializer'>): InsideLayer[] {
  const outside = constantsOf(graph);
  return graph.node.flatMap((holder) => {
    const inner = subgraphs(holder);
    const known = new Map([...outside, ...inner.flatMap((body) => [...allConstants(body)])]);
    return inner
      .flatMap((body) => [...allNodes(body)])
      .filter((node) => isOperator(node, ...LAYERS))
      .flatMap((node) => {
        const weights = node.input.flatMap((name) => known.get(name) ?? []).filter((tensor) => sizeOf(tensor) > 1);
        const [first = ''] = node.output;
        const name = node.name === '' ? first : node.name;
        // A product of two tensors is no layer.
        const isLayer = weights.length > 0 || !isOperator(node, 'MatMul');
        return isLayer ? [{ name, holder: operatorOf(holder), weights }] : [];
      });
  });
}

/** Numbers in what these layers read, each tensor once. */
export const numbersInside = (layers: readonly InsideLayer[]): number =>
  [...new Set(layers.flatMap(({ weights }) => weights))].reduce((sum, tensor) => sum + sizeOf(tensor), 0);

const sizeOf = (tensor: TensorProto): number => elementCount(tensorDims(tensor));

/** Initializers and what Constant nodes hold, by name. */
function constantsOf(graph: Pick<GraphProto, 'node' | 'initializer'>): Map<string, TensorProto> {
  const made = graph.node.filter((node) => isOperator(node, 'Constant')).flatMap(constantOf);
  return new Map([...graph.initializer.map((tensor) => [tensor.name, tensor] as const), ...made]);
}

function constantOf({ output: [name], attribute }: NodeProto): (readonly [string, TensorProto])[] {
  const tensor = attribute.find((a) => a.name === 'value')?.t;
  return name === undefined || tensor == null ? [] : [[name, tensor]];
}

/** Of a body and of those inside of it. */
function* allConstants(body: GraphProto): Generator<readonly [string, TensorProto]> {
  yield* constantsOf(body);
  for (const node of body.node) for (const inner of subgraphs(node)) yield* allConstants(inner);
}
