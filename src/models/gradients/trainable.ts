import type { FloatTensor, Tensor } from '../../datasets/tensor.js';
import { fixSize } from './fixed-size.js';
import { trainingGraph, type TrainingGraph } from './training-graph.js';
import { DataType, withFields, type TensorProto } from '../ir/messages.js';
import { atOpset, initializersOf, inputNames, type Model } from '../ir/model.js';
import { floatTensor, tensorDims, tensorFloats } from '../ir/tensors.js';
import { extract } from '../graph/extract.js';
import { NameSource } from '../graph/graph-index.js';
import { weightedNodes } from '../graph/weighted-nodes.js';
import { raiseOpset } from '../passes/raise-opset.js';
import { withNames } from '../passes/short-names.js';
import { samplesFor, type Given } from '../run/feeds.js';
import { Runner, type Running } from '../run/runner.js';

/**
 * Weights of the layers that `rewritten` has and `model` has not: those that compression made.
 * @param model null: all
 * @param but names of nodes whose weights are not wanted
 */
export function newWeights(rewritten: Model, model: Model | null, but: ReadonlySet<string> = new Set()): Set<string> {
  const known = model === null ? new Map<string, unknown>() : initializersOf(model.graph);
  const found = new Set<string>();
  for (const { weight, bias, name } of weightedNodes(rewritten)) {
    if (but.has(name)) continue;
    for (const tensor of [weight, bias])
      if (tensor?.dataType === DataType.FLOAT && !known.has(tensor.name)) found.add(tensor.name);
  }
  return found;
}

/** What the gradients of one batch are computed from. */
export interface Pull {
  /** The wanted values of a loss, of the shape that the tensor has; of a network that was opened with an original, that one's. */
  target?: FloatTensor;
  /** Of the sum of squared differences. */
  weight: number;
}

type Shapes = ReadonlyMap<string, readonly number[]>;

/** A network whose weights are changed step by step, with gradients by the runtime. Has to be released. */
export class TrainableNetwork {
  private readonly sizes: ReadonlyMap<string, number>;

  private constructor(
    private readonly model: Model,
    private readonly runner: Runner,
    private readonly graph: Pick<TrainingGraph, 'losses' | 'gradients'> & {
      inputs: readonly string[];
      shapes: Shapes;
      /** Whether the graph computes the targets. */
      hasTargets: boolean;
    },
    /** By name; changed in place by the caller. */
    readonly weights: ReadonlyMap<string, FloatTensor>,
  ) {
    this.sizes = sizesIn(model);
  }

  /**
   * @param weights to be changed; those that no loss depends on are left out
   * @param losses tensors that are pulled towards targets
   * @param known tensors that there are targets for; default: all
   * @param original the network whose tensors of the same names are the targets: it runs in the same graph, so that no feature map leaves
   *   the runtime
   * @param samples a batch of the size that all later ones have
   * @throws {InputError} when operators of an old version cannot be carried over
   */
  static async open(
    model: Model,
    {
      weights,
      losses,
      known,
      original,
      samples,
    }: {
      weights: ReadonlySet<string>;
      losses: readonly string[];
      known?: ReadonlySet<string>;
      original?: Model;
      samples: Given;
    },
    options: Running,
  ): Promise<TrainableNetwork> {
    const { model: fixed, shapes } = await fixSize(model, samples, { threads: options.threads });
    const graph = trainingGraph(fixed, weights, { losses, ...(known === undefined ? {} : { known }) }, shapes);
    const own = new Map<string, FloatTensor>();
    for (const [name, tensor] of initializersOf(model.graph)) {
      if (!graph.gradients.has(name)) continue;
      const data = Float32Array.from(tensorFloats(tensor, model.directory));
      own.set(name, { dims: tensorDims(tensor), data });
    }
    const hasTargets = original !== undefined;
    const runner = await Runner.open(hasTargets ? withTargets(graph, original) : graph.model, options);
    const inputs = inputNames(model);
    const { losses: terms, gradients } = graph;
    return new TrainableNetwork(model, runner, { losses: terms, gradients, inputs, shapes, hasTargets }, own);
  }

  /** Tensors with a loss: those asked for, and those that an operator without a derivative reads. */
  get losses(): string[] {
    return this.graph.losses.map(({ name }) => name);
  }

  /** Of a tensor with a loss, for the batch. */
  shapeOf(name: string): readonly number[] {
    return this.graph.shapes.get(name) ?? [];
  }

  /** Weighted squared differences by tensor (none where the network was opened with an original), and the derivatives of their sum by weight. */
  async differentiate(
    samples: Given,
    pulls: ReadonlyMap<string, Pull>,
  ): Promise<{ losses: Map<string, number>; gradients: Map<string, Float32Array> }> {
    const feeds = new Map<string, Tensor>([...samplesFor(this.graph.inputs, samples), ...this.weights]);
    for (const { name, target, weight } of this.graph.losses) {
      const pull = pulls.get(name);
      if (pull === undefined) throw new RangeError(`no weight for ${name}`);
      if (!this.graph.hasTargets) {
        if (pull.target === undefined) throw new RangeError(`no target for ${name}`);
        feeds.set(target, pull.target);
      }
      feeds.set(weight, { dims: [], data: Float32Array.of(pull.weight) });
    }
    const values = await this.runner.feed(feeds);
    const floatsOf = (name: string): Float32Array => {
      const data = values.get(name)?.data;
      if (!(data instanceof Float32Array)) throw new RangeError(`${name} was not computed`);
      return data;
    };
    return {
      losses: new Map(
        this.graph.hasTargets ? [] : this.graph.losses.map(({ name, loss }) => [name, floatsOf(loss)[0]]),
      ),
      gradients: new Map([...this.graph.gradients].map(([name, gradient]) => [name, floatsOf(gradient)])),
    };
  }

  /**
   * Root mean square of the layer's weights, as they were: a step is in proportion to it. For a bias, that of the
   * weights beside it, or its own if that is larger.
   */
  sizeOf(name: string): number {
    return this.sizes.get(name) ?? 1;
  }

  /** The network with the weights as they are now. */
  current(): Model {
    const { graph } = this.model;
    const changed = ({ name }: TensorProto): TensorProto | null => {
      const weight = this.weights.get(name);
      return weight === undefined ? null : floatTensor(name, weight.dims, weight.data.slice());
    };
    const own = withFields(graph, { initializer: graph.initializer.map((tensor) => changed(tensor) ?? tensor) });
    return { ...this.model, graph: own, proto: withFields(this.model.proto, { graph: own }) };
  }

  async release(): Promise<void> {
    await this.runner.release();
  }
}

/** The graph with the original beside it, whose tensors are the targets. */
function withTargets({ model, losses, gradients }: TrainingGraph, original: Model): Model {
  const raised = raiseOpset(original);
  const part = extract(
    raised,
    [],
    losses.map(({ name }) => name),
  ).model.graph;
  const { graph } = model;
  const targets = new Set(losses.map(({ target }) => target));
  const names = new NameSource(graph);
  const known = new Map([...inputNames(raised), ''].map((name) => [name, name]));
  for (const { name, target } of losses) known.set(name, target);
  const named = (name: string): string => {
    const own = known.get(name) ?? names.fresh(`original/${name}`);
    known.set(name, own);
    return own;
  };
  // Data beside the original's file is not found from another one's directory.
  const held = (tensor: TensorProto): TensorProto =>
    raised.directory === model.directory || tensor.dataType !== DataType.FLOAT
      ? tensor
      : floatTensor(tensor.name, tensorDims(tensor), tensorFloats(tensor, raised.directory));
  const beside = withNames(withFields(part, { initializer: part.initializer.map(held) }), named);
  const given = [...graph.input.filter(({ name }) => !targets.has(name)), ...beside.input];
  const own = withFields(graph, {
    node: [...beside.node, ...graph.node],
    initializer: [...beside.initializer, ...graph.initializer],
    input: [...new Map(given.map((input) => [input.name, input])).values()],
  });
  // Nobody asks how large the losses are.
  return extract(atOpset(model, own, Math.max(model.opset, raised.opset)), [], [...gradients.values()]).model;
}

function sizesIn(model: Model): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const { weight, bias } of weightedNodes(model)) {
    if (weight?.dataType !== DataType.FLOAT) continue;
    const size = rootMeanSquare(tensorFloats(weight, model.directory));
    sizes.set(weight.name, size);
    if (bias?.dataType !== DataType.FLOAT) continue;
    sizes.set(bias.name, Math.max(size, rootMeanSquare(tensorFloats(bias, model.directory))));
  }
  return sizes;
}

export const rootMeanSquare = (values: Float32Array): number =>
  Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / Math.max(1, values.length));
