import { AttributeType, int64ToNumber, withFields, type AttributeProto, type NodeProto } from '../ir/messages.js';
import type { Model } from '../ir/model.js';
import { operatorOf } from '../ir/operator.js';
import { GraphIndex } from '../graph/graph-index.js';
import { storedWeight } from '../graph/stored-weight.js';

/** What an attribute has where it is left out: a number, or so many of them as there are axes. */
type Defaults = Readonly<Record<string, number>>;

const WINDOW: Defaults = { strides: 1, dilations: 1, pads: 0, group: 1 };
const POOL: Defaults = { strides: 1, dilations: 1, pads: 0, ceil_mode: 0, storage_order: 0, count_include_pad: 0 };

/** Of operators that a network has many of; as in the ONNX operator set, and the same since opset 7. */
const DEFAULTS: Readonly<Record<string, Defaults>> = {
  Conv: WINDOW,
  ConvTranspose: { ...WINDOW, output_padding: 0 },
  MaxPool: POOL,
  AveragePool: POOL,
  Gemm: { alpha: 1, beta: 1, transA: 0, transB: 0 },
  Flatten: { axis: 1 },
  Gather: { axis: 0 },
};

/** Their kernel is as large as their weights say. */
const KNOWN_BY_WEIGHTS = new Set(['Conv', 'ConvTranspose']);

/** The same network without attributes that say what holds anyway: of a small network with many layers they take some bytes in a hundred. */
export function withoutDefaults(model: Model): Model {
  const { graph } = model;
  const index = new GraphIndex(graph);
  const needed = (node: NodeProto): ((attribute: AttributeProto) => boolean) => {
    const defaults = DEFAULTS[operatorOf(node)] ?? {};
    const isKnown = KNOWN_BY_WEIGHTS.has(operatorOf(node)) && storedWeight(node.input[1], index) !== null;
    return (attribute) =>
      !(isKnown && attribute.name === 'kernel_shape') && !isDefault(attribute, defaults[attribute.name]);
  };
  const node = graph.node.map((one) =>
    operatorOf(one) in DEFAULTS ? withFields(one, { attribute: one.attribute.filter(needed(one)) }) : one,
  );
  const own = withFields(graph, { node });
  return { ...model, graph: own, proto: withFields(model.proto, { graph: own }) };
}

function isDefault({ type, f = 0, i = 0, ints = [] }: AttributeProto, usual: number | undefined): boolean {
  if (type === AttributeType.FLOAT) return f === usual;
  if (type === AttributeType.INT) return int64ToNumber(i) === usual;
  return type === AttributeType.INTS && ints.every((value) => int64ToNumber(value) === usual);
}
