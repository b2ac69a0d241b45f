import { extract } from '../graph/extract.js';
import { GraphIndex, NameSource, readBy } from '../graph/graph-index.js';
import { makeInt } from '../ir/attributes.js';
import { DataType, withFields, type NodeProto, type ValueInfoProto } from '../ir/messages.js';
import type { Model } from '../ir/model.js';
import { ruleOf } from './rules.js';
import { Tape } from './tape.js';

/** A tensor of the network that is pulled towards given values. */
export interface LossTensor {
  name: string;
  /** Input with the wanted values, of the same shape. */
  target: string;
  /** Input with the weight of the squared difference. */
  weight: string;
  /** Output: the weighted sum of squared differences. */
  loss: string;
}

/** A network that computes its weighted squared error and the derivatives of it with respect to its weights. */
export interface TrainingGraph {
  model: Model;
  /** Those asked for, and the tensors at which the gradient stops because an operator has no rule. */
  losses: LossTensor[];
  /**
   * The output that holds the gradient, by name of the weight, which is an input. Weights that no loss depends on are
   * not here.
   */
  gradients: Map<string, string>;
}

/**
 * Differentiates a network in reverse mode (as any textbook on automatic differentiation has it), as ordinary operators
 * of the same graph: a runtime for inference computes the gradients. Where an operator has no rule, gradients stop, and
 * the tensors that it reads become losses of their own: weights before it follow those, not what comes behind.
 *
 * @param weights initializers to differentiate by
 * @param wanted tensors with losses; those that depend on no weight are left out. `known`: tensors that there are
 *   wanted values for; where a gradient stops at another one, nothing is learned before it. Default: all
 * @param shapes of all tensors for the batch that the graph is going to be run on, see `fixSize`
 */
export function trainingGraph(
  model: Model,
  weights: ReadonlySet<string>,
  wanted: { losses: readonly string[]; known?: ReadonlySet<string> },
  shapes: ReadonlyMap<string, readonly number[]>,
): TrainingGraph {
  const stops = new Set<NodeProto>();
  for (;;) {
    const built = attempt(model, { weights, wanted, shapes }, stops);
    if ('model' in built) return built;
    stops.add(built.uncovered);
  }
}

function attempt(
  model: Model,
  {
    weights,
    wanted,
    shapes,
  }: {
    weights: ReadonlySet<string>;
    wanted: { losses: readonly string[]; known?: ReadonlySet<string> };
    shapes: ReadonlyMap<string, readonly number[]>;
  },
  stops: ReadonlySet<NodeProto>,
): TrainingGraph | { uncovered: NodeProto } {
  const { graph } = model;
  const names = new NameSource(graph);
  const tape = new Tape(names, shapes, new GraphIndex(graph), model.directory);
  const varying = new Set(weights);
  const ends = new Set(wanted.losses);
  const isKnown = (name: string): boolean => wanted.known?.has(name) ?? true;
  for (const node of graph.node) {
    const inputs = [...readBy(node)].filter((name) => varying.has(name));
    if (inputs.length === 0) continue;
    if (stops.has(node) || ruleOf(node) === null) for (const name of inputs.filter(isKnown)) ends.add(name);
    else if (node.output[0] !== undefined) varying.add(node.output[0]);
  }
  const gradients = new Map<string, string[]>();
  const give = (name: string, gradient: string) => gradients.set(name, [...(gradients.get(name) ?? []), gradient]);
  const take = (name: string): string | null => {
    const [first, ...others] = gradients.get(name) ?? [];
    return first === undefined ? null : others.reduce((sum, other) => tape.emit('Add', [sum, other]), first);
  };
  const losses = [...ends]
    .filter((name) => varying.has(name) && !weights.has(name))
    .map((name): LossTensor => {
      const target = names.fresh(`target/${name}`);
      const weight = names.fresh(`loss_weight/${name}`);
      const difference = tape.emit('Sub', [name, target]);
      give(name, tape.mul(difference, tape.scaled(weight, 2)));
      const sum = tape.emit('ReduceSumSquare', [difference], [makeInt('keepdims', 0)]);
      return { name, target, weight, loss: tape.mul(sum, weight) };
    });
  for (const node of graph.node.toReversed()) {
    const [output] = node.output;
    const rule = ruleOf(node);
    if (output === undefined || rule === null || stops.has(node) || !varying.has(output)) continue;
    const gradient = take(output);
    if (gradient === null) continue;
    const wants = (position: number): boolean => varying.has(node.input[position] ?? '');
    const given = rule(tape, node, gradient, wants);
    if (given === null) return { uncovered: node };
    for (const [position, own] of given.entries()) {
      const name = node.input[position];
      if (own !== null && name !== undefined && wants(position)) give(name, own);
    }
  }
  const found = new Map<string, string>();
  for (const name of weights) {
    const gradient = take(name);
    if (gradient !== null) found.set(name, gradient);
  }
  return { model: joined(model, tape, losses, found), losses, gradients: found };
}

/** Forward part and tape in one graph, weights and targets as inputs. */
function joined(
  model: Model,
  tape: Tape,
  losses: readonly LossTensor[],
  gradients: ReadonlyMap<string, string>,
): Model {
  const { graph } = model;
  const input = (name: string): ValueInfoProto => ({ name, type: { tensorType: { elemType: DataType.FLOAT } } });
  const outputs = [...losses.map(({ loss }) => loss), ...gradients.values()];
  const whole = withFields(graph, {
    node: [...graph.node, ...tape.nodes],
    initializer: [...graph.initializer.filter(({ name }) => !gradients.has(name)), ...tape.initializers],
    input: [
      ...graph.input,
      ...[...gradients.keys(), ...losses.flatMap(({ target, weight }) => [target, weight])].map(input),
    ],
    output: outputs.map((name) => ({ name })),
    valueInfo: [],
  });
  // Without what neither a loss nor a gradient needs.
  return extract({ ...model, graph: whole, proto: withFields(model.proto, { graph: whole }) }, [], outputs).model;
}
