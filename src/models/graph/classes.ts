import { intAttribute } from '../ir/attributes.js';
import { GraphIndex } from './graph-index.js';
import type { Model } from '../ir/model.js';
import { isOperator, operatorOf } from '../ir/operator.js';

/** Leave what the last axis means as it is, as far as exporters use them behind the last layer. */
const BETWEEN = new Set(['Add', 'Mul', 'Cast', 'Identity', 'Reshape', 'Squeeze', 'Unsqueeze', 'Sigmoid']);

/**
 * Whether the last axis of an output holds classes, one of which is the answer: it comes from a softmax over that axis
 * or from a fully connected layer. That of a map or of a list of boxes does not.
 */
export function holdsClasses({ graph, opset }: Model, output: string): boolean {
  const index = new GraphIndex(graph);
  for (let node = index.producer(output); node !== null; node = index.producer(node.input[0])) {
    if (isOperator(node, 'Softmax', 'LogSoftmax')) return intAttribute(node, 'axis', opset < 13 ? 1 : -1) !== 1;
    if (isOperator(node, 'Gemm', 'MatMul')) return true;
    if (!BETWEEN.has(operatorOf(node))) return false;
  }
  return false;
}
