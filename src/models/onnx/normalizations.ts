import { InputError } from '../../errors/index.js';
import { subgraphs } from '../graph/graph-index.js';
import { floatAttribute, intAttribute } from '../ir/attributes.js';
import { DataType, type GraphProto, type NodeProto, type TensorProto } from '../ir/messages.js';
import { isOperator } from '../ir/operator.js';
import { tensorFloats } from '../ir/tensors.js';
import { nodeLabel } from '../graph/validate.js';

const FLOATS: ReadonlySet<number> = new Set([DataType.FLOAT, DataType.DOUBLE, DataType.FLOAT16]);
const VARIANCE = 4;
/** The operator's own. */
const EPSILON = 1e-5;

/**
 * A normalization divides by the root of variance + epsilon: where that is not above zero, every output behind it is
 * NaN or infinite.
 * @throws {InputError} naming the tensor and the channel
 */
export function checkNormalizations(
  graph: GraphProto,
  directory: string | null,
  outer = new Map<string, Constant>(),
): void {
  const constants = new Map(outer);
  for (const tensor of graph.initializer) constants.set(tensor.name, { tensor, pointer: `initializer/${tensor.name}` });
  for (const node of graph.node) {
    const [output = ''] = node.output;
    const value = isOperator(node, 'Constant') ? node.attribute.find(({ name }) => name === 'value')?.t : null;
    if (value != null)
      constants.set(output, { tensor: value, pointer: `node/${node.name === '' ? output : node.name}` });
    if (isOperator(node, 'BatchNormalization')) checkOne(node, constants.get(node.input[VARIANCE] ?? ''), directory);
    for (const inner of subgraphs(node)) checkNormalizations(inner, directory, constants);
  }
}

interface Constant {
  tensor: TensorProto;
  /** Where the client has it. */
  pointer: string;
}

function checkOne(node: NodeProto, variance: Constant | undefined, directory: string | null): void {
  if (variance === undefined || !FLOATS.has(variance.tensor.dataType)) return;
  // With statistics of the batch, its own are not read.
  if (intAttribute(node, 'training_mode', 0) !== 0) return;
  const epsilon = Math.fround(floatAttribute(node, 'epsilon', EPSILON));
  const values = tensorFloats(variance.tensor, directory);
  const at = values.findIndex((value) => !(Math.fround(value + epsilon) > 0));
  if (at < 0) return;
  const detail = `${nodeLabel(node)} has the variance ${String(values[at])} in channel ${String(at)} (epsilon ${epsilon.toPrecision(3)}): its outputs would be NaN or infinite`;
  throw new InputError('invalid_model', detail, {
    faults: [{ pointer: `#model/${variance.pointer}/${String(at)}`, detail }],
    ...(node.name === '' ? {} : { layer: node.name }),
  });
}
