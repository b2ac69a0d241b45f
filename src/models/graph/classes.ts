import { intAttribute } from '../ir/attributes.js';
import { GraphIndex } from './graph-index.js';
import type { Model } from '../ir/model.js';
import type { NodeProto } from '../ir/messages.js';
import { isOperator, operatorOf } from '../ir/operator.js';

/** Leave what the last axis means as it is, as far as exporters use them behind the last layer. */
const BETWEEN = new Set(['Add', 'Mul', 'Cast', 'Identity', 'Reshape', 'Squeeze', 'Unsqueeze', 'Sigmoid']);

/** The softmax or the fully connected layer that an output comes from, with nothing behind it that changes what it means. */
function endOf({ graph }: Pick<Model, 'graph'>, output: string): NodeProto | null {
  const index = new GraphIndex(graph);
  for (let node = index.producer(output); node !== null; node = index.producer(node.input[0])) {
    if (isOperator(node, 'Softmax', 'LogSoftmax', 'Gemm', 'MatMul')) return node;
    if (!BETWEEN.has(operatorOf(node))) return null;
  }
  return null;
}

/**
 * Whether the last axis of an output may hold classes, one of which is the answer: it comes from a softmax over that axis
 * or from a fully connected layer. That of a map or of a list of boxes does not.
 */
export function holdsClasses({ graph, opset }: Model, output: string): boolean {
  const node = endOf({ graph }, output);
  if (node === null) return false;
  return isOperator(node, 'Gemm', 'MatMul') || intAttribute(node, 'axis', opset < 13 ? 1 : -1) !== 1;
}

/** Whether an output comes from a softmax, whatever its axis. */
export function endsInSoftmax(model: Pick<Model, 'graph'>, output: string): boolean {
  const node = endOf(model, output);
  return node !== null && isOperator(node, 'Softmax', 'LogSoftmax');
}
