import type { GraphBuilder } from '../build/graph-builder.js';
import type { Value } from '../build/value.js';
import { at, badModel, isObject, list, path, text, type Json, type JsonObject } from '../io/json.js';
import type { ModelFiles } from '../io/read.js';
import { CONVOLUTIONS } from './convolutions.js';
import { ELEMENTWISE } from './elementwise.js';
import { NodeContext, shapeOf, type GraphNode, type OperatorReader } from './node.js';
import { SHAPES } from './shapes.js';

const same: OperatorReader = (node) => node.input(0);

const READERS: ReadonlyMap<string, OperatorReader> = new Map(
  Object.entries<OperatorReader>({
    ...CONVOLUTIONS,
    ...ELEMENTWISE,
    ...SHAPES,
    ...{ Identity: same, StopGradient: same, Snapshot: same, PlaceholderWithDefault: same },
    IdentityN: ({ inputs }) => [...inputs],
  }),
);

/** An input or output of the model: what callers call it, and the node that makes it. */
export interface GraphPort {
  /** Of the signature; null where there is none. */
  key: string | null;
  node: string;
  output: number;
  /** As the signature gives it. */
  dims: number[] | null;
}

/** Reads the nodes into a network; returns what the model takes and gives, in the order of the client. */
export function readGraph(b: GraphBuilder, files: ModelFiles): { inputs: GraphPort[]; outputs: GraphPort[] } {
  const nodes = graphNodes(at(files.json, 'modelTopology'));
  const signature = signatureOf(files.json);
  const inputs = ports(at(signature, 'inputs')) ?? placeholders(nodes);
  const outputs = ports(at(signature, 'outputs')) ?? unread(nodes);
  const values = new Map<string, Value[]>();
  for (const { node, dims } of inputs) {
    const found = nodes.get(node);
    b.scope = node;
    if (found === undefined) throw b.fail('the signature names this input, and the graph has no such node');
    values.set(node, [inputValue(new NodeContext(b, found, []), dims)]);
  }
  for (const node of neededInOrder(nodes, outputs, new Set(values.keys())))
    values.set(node.name, read(b, node, values, files));
  b.finish(
    outputs.map(({ node, output }) => {
      const value = values.get(node)?.[output];
      if (value === undefined) throw badModel(`the output ${node} is made by no node`, 'modelTopology', node);
      return { name: output === 0 ? node : `${node}:${String(output)}`, value };
    }),
  );
  return { inputs, outputs };
}

function inputValue(context: NodeContext, signed: number[] | null): Value {
  const { b, node } = context;
  const type = context.type('dtype');
  // TensorFlow.js has bytes as 32-bit integers.
  const types = { DT_FLOAT: 'float32', DT_INT32: 'int64', DT_UINT8: 'int64', DT_BOOL: 'bool' } as const;
  if (!(type in types)) throw b.fail(`an input of the type ${type} is not read`);
  const dims = context.shape('shape') ?? signed;
  if (dims === null) throw b.fail('the shape of this input is not known');
  return b.input(node.name, dims, types[type as keyof typeof types]);
}

function read(
  b: GraphBuilder,
  node: GraphNode,
  values: ReadonlyMap<string, Value[]>,
  { weights }: ModelFiles,
): Value[] {
  b.scope = node.name;
  if (node.op === 'Const') {
    const tensor = weights.get(node.name);
    if (tensor === undefined) throw b.fail('this constant is not in the manifest');
    return [b.constant(tensor)];
  }
  const reader = READERS.get(node.op);
  if (reader === undefined) {
    throw b.fail(
      `the operator ${node.op} is not read: leave it out of the model (docs/tensorflowjs.md lists what is read), or convert the model to ONNX`,
    );
  }
  const inputs = node.inputs.map(({ name, output }) => {
    const value = values.get(name)?.[output];
    if (value === undefined) throw b.fail(`it reads ${name}:${String(output)}, which nothing makes`);
    return value;
  });
  const made = reader(new NodeContext(b, node, inputs));
  return Array.isArray(made) ? made : [made];
}

function graphNodes(topology: Json | undefined): Map<string, GraphNode> {
  const nodes = new Map<string, GraphNode>();
  for (const [i, json] of (list(at(topology, 'node')) ?? []).entries()) {
    const where = `modelTopology/node/${String(i)}`;
    const name = text(at(json, 'name'));
    const op = text(at(json, 'op'));
    if (name === null || op === null) throw badModel(`${where} needs a name and an op`, where);
    if (nodes.has(name)) throw badModel(`two nodes are named ${name}`, where, name);
    const inputs = (list(at(json, 'input')) ?? []).map((input) => text(input) ?? '');
    // What begins with a circumflex says what comes first, and carries nothing.
    const data = inputs.filter((input) => !input.startsWith('^')).map(refOf);
    nodes.set(name, { name, op, inputs: data, attributes: at(json, 'attr') });
  }
  return nodes;
}

function refOf(input: string): { name: string; output: number } {
  const [, name = input, output = '0'] = /^(.*):(\d{1,6})$/s.exec(input) ?? [];
  return { name, output: Number(output) };
}

function signatureOf(json: JsonObject): Json | undefined {
  const own = at(json, 'signature');
  return isObject(own) ? own : path(json, 'userDefinedMetadata', 'signature');
}

function ports(entries: Json | undefined): GraphPort[] | null {
  if (!isObject(entries) || Object.keys(entries).length === 0) return null;
  return Object.entries(entries).map(([key, entry]) => {
    const { name, output } = refOf(text(at(entry, 'name')) ?? key);
    return { key, node: name, output, dims: shapeOf(at(entry, 'tensorShape')) };
  });
}

const placeholders = (nodes: ReadonlyMap<string, GraphNode>): GraphPort[] =>
  [...nodes.values()]
    .filter(({ op }) => op.startsWith('Placeholder'))
    .map(({ name }) => ({ key: null, node: name, output: 0, dims: null }));

/** Without a signature, what nothing reads is an output. */
function unread(nodes: ReadonlyMap<string, GraphNode>): GraphPort[] {
  const read = new Set([...nodes.values()].flatMap(({ inputs }) => inputs.map(({ name }) => name)));
  return [...nodes.values()]
    .filter(({ name, op }) => !read.has(name) && op !== 'Const' && !op.startsWith('Placeholder') && op !== 'NoOp')
    .map(({ name }) => ({ key: null, node: name, output: 0, dims: null }));
}

/** The nodes that the outputs need, each behind those that it reads. */
function neededInOrder(
  nodes: ReadonlyMap<string, GraphNode>,
  outputs: readonly GraphPort[],
  given: ReadonlySet<string>,
): GraphNode[] {
  const order: GraphNode[] = [];
  const state = new Map<string, 'open' | 'done'>();
  // Deep graphs are longer than the stack of calls.
  const stack = outputs.map(({ node }) => ({ name: node, next: 0 })).reverse();
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    const node = nodes.get(top.name);
    if (node === undefined)
      throw badModel(`the graph has no node ${top.name}, which is read`, 'modelTopology', top.name);
    if (top.next === 0 && (state.get(top.name) === 'done' || given.has(top.name))) {
      stack.pop();
      continue;
    }
    if (top.next === 0) state.set(top.name, 'open');
    const input = node.inputs[top.next++];
    if (input === undefined) {
      state.set(top.name, 'done');
      order.push(node);
      stack.pop();
    } else if (state.get(input.name) === 'open') {
      const loop = [...nodes.values()].some(({ op }) => op === 'NextIteration');
      const what = loop
        ? `the graph has a loop (NextIteration), which is not read: convert the model without what loops (a search for boxes, a map over pictures)`
        : 'the graph has a cycle';
      throw badModel(`${what}: through ${input.name}`, 'modelTopology', input.name);
    } else if (state.get(input.name) !== 'done' && !given.has(input.name)) stack.push({ name: input.name, next: 0 });
  }
  return order;
}
