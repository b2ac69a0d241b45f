import { GraphIndex } from '../graph/graph-index.js';
import type { Model } from '../ir/model.js';
import { isOperator } from '../ir/operator.js';
import { weightedNodes } from '../graph/weighted-nodes.js';

/** Where a part of a network begins and ends. */
export interface Ends {
  from: string;
  to: string;
}

/**
 * The part from `from` to `to` as a network with integers computes it: beginning and ending with the integers of these
 * tensors (at the end behind a rectifier) where the network has them, so that a runtime takes the same kernels as in
 * the whole.
 */
export function integerEnds(model: Model, { from, to }: Ends): Ends {
  const index = new GraphIndex(model.graph);
  return { from: integersOf(from, index) ?? from, to: integersOf(to, index) ?? integersBehind(to, index) ?? to };
}

/** Behind the tensor, or in front of it where its name is that of the dequantized values. */
function integersOf(tensor: string, index: GraphIndex): string | null {
  const producer = index.producer(tensor);
  if (producer !== null && isOperator(producer, 'DequantizeLinear')) return producer.input[0] ?? null;
  const quantize = index.consumers(tensor).find((node) => isOperator(node, 'QuantizeLinear'));
  return quantize?.output[0] ?? null;
}

function integersBehind(tensor: string, index: GraphIndex): string | null {
  const rectifier = index.soleConsumer(tensor);
  if (rectifier === null || !isOperator(rectifier, 'Relu', 'Clip')) return null;
  const quantize = index.soleConsumer(rectifier.output[0] ?? '');
  return quantize !== null && isOperator(quantize, 'QuantizeLinear') ? (quantize.output[0] ?? null) : null;
}

/** How many of the layers read integers and have integers as weights, of all that there are. */
export function countIntegerLayers(model: Model): { integer: number; all: number } {
  const index = new GraphIndex(model.graph);
  const layers = weightedNodes(model);
  const decoded = (name: string | undefined) => isOperator(index.producer(name), 'DequantizeLinear');
  const integer = layers.filter(({ node }) => decoded(node.input[0]) && decoded(node.input[1]));
  return { integer: integer.length, all: layers.length };
}
