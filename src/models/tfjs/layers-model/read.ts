import type { GraphBuilder } from '../build/graph-builder.js';
import type { Value } from '../build/value.js';
import { at, badModel } from '../io/json.js';
import type { ModelFiles } from '../io/read.js';
import type { StoredTensor } from '../io/weights.js';
import { CONVOLUTIONS } from './convolutions.js';
import { LayerContext, type LayerReader } from './layer-context.js';
import { PLAIN_LAYERS } from './plain-layers.js';
import { isContainer, readContainer, type Container, type LayerConfig, type TensorRef } from './topology.js';

const READERS: ReadonlyMap<string, LayerReader> = new Map(Object.entries({ ...CONVOLUTIONS, ...PLAIN_LAYERS }));

/** How deep models may lie in each other. */
const MAX_DEPTH = 30;

/** One call of a layer of the outermost model: what it became. */
export interface LayerCall {
  layer: LayerConfig;
  inputs: Value[];
  outputs: Value[];
  /** Names of its nodes. */
  nodes: string[];
}

/** Reads the layers into a network; returns every call with what it became. */
export function readLayers(b: GraphBuilder, { json, weights }: ModelFiles): LayerCall[] {
  const topology = at(json, 'modelTopology');
  const config = at(topology, 'model_config') ?? topology;
  const container = readContainer(config, 'modelTopology');
  const calls: LayerCall[] = [];
  const reader = new LayersReader(b, shortened(weights), calls);
  const inputs = container.inputs.map(({ layer }) => reader.input(container, layer));
  const outputs = reader.run(container, inputs, 0);
  const names = new Set<string>();
  b.finish(
    container.outputs.map(({ layer }, i) => {
      const value = outputs[i];
      if (value === undefined) throw badModel(`the output ${layer} is computed by nothing`);
      let name = layer;
      for (let n = 1; names.has(name); n++) name = `${layer}_${String(n)}`;
      names.add(name);
      return { name, value };
    }),
  );
  const final = (values: Value[]) => values.map((value) => b.final(value));
  return calls.map((call) => ({ ...call, inputs: final(call.inputs), outputs: final(call.outputs) }));
}

/**
 * TensorFlow 2.2 put the name of a cell between those of the layer and the weight, Keras 3 puts those of the models that the layer is in
 * before it.
 */
function shortened(weights: ReadonlyMap<string, StoredTensor>): Map<string, StoredTensor> {
  const all = new Map<string, StoredTensor>();
  const twice = new Set<string>();
  const others = (parts: string[]) => [
    [...parts.slice(0, -2), ...parts.slice(-1)].join('/'),
    ...parts.slice(1, -1).map((_, i) => parts.slice(i + 1).join('/')),
  ];
  for (const [name, tensor] of weights) {
    const parts = name.split('/');
    for (const short of parts.length > 2 ? new Set(others(parts)) : []) {
      if (all.has(short)) twice.add(short);
      all.set(short, tensor);
    }
  }
  // Two layers of one name in different models: which is meant is not known.
  for (const short of twice) all.delete(short);
  for (const [name, tensor] of weights) all.set(name, tensor);
  return all;
}

const keyOf = ({ layer, node, tensor }: TensorRef): string => JSON.stringify([layer, node, tensor]);

class LayersReader {
  constructor(
    private readonly b: GraphBuilder,
    private readonly weights: ReadonlyMap<string, StoredTensor>,
    private readonly calls: LayerCall[],
  ) {}

  input({ layers }: Container, name: string): Value {
    this.b.scope = name;
    const layer = layers.find((candidate) => candidate.name === name);
    const shape = layer?.config.inputShape() ?? null;
    if (layer?.className !== 'InputLayer' || shape === null)
      throw this.b.fail('the shape of this input is not known: give the first layer an inputShape');
    const type = layer.config.type();
    return this.b.input(name, shape, type === 'int32' ? 'int64' : type === 'bool' ? 'bool' : 'float32');
  }

  /** The outputs of a model for these inputs. */
  run(container: Container, inputs: readonly Value[], depth: number): Value[] {
    if (depth > MAX_DEPTH) throw badModel(`models lie in each other more than ${String(MAX_DEPTH)} deep`);
    const values = new Map<string, Value>();
    container.inputs.forEach((ref, i) => {
      const value = inputs[i];
      if (value !== undefined) values.set(keyOf(ref), value);
    });
    for (const { layer, node } of inOrder(this.b, container, values)) {
      const given = (layer.calls[node] ?? []).map((ref) => {
        const value = values.get(keyOf(ref));
        if (value === undefined)
          throw badModel(`${layer.name} reads a tensor that ${ref.layer} does not make`, 'modelTopology', layer.name);
        return value;
      });
      const made = this.call(layer, given, depth);
      made.forEach((value, tensor) => values.set(keyOf({ layer: layer.name, node, tensor }), value));
    }
    return container.outputs.map((ref) => {
      const value = values.get(keyOf(ref));
      if (value === undefined)
        throw badModel(`the output ${ref.layer} is computed by nothing`, 'modelTopology', ref.layer);
      return value;
    });
  }

  private call(layer: LayerConfig, inputs: Value[], depth: number): Value[] {
    const { name, className, config } = layer;
    const begin = this.b.nodes.length;
    this.b.scope = name;
    const outputs = isContainer(className)
      ? this.run(readContainer(layer.json, name), inputs, depth + 1)
      : [this.single(layer, new LayerContext(this.b, name, config, this.weights), inputs)];
    if (depth === 0)
      this.calls.push({ layer, inputs, outputs, nodes: this.b.nodes.slice(begin).map((node) => node.name) });
    return outputs;
  }

  private single({ className }: LayerConfig, context: LayerContext, inputs: Value[]): Value {
    const reader = READERS.get(className);
    if (reader !== undefined) return reader(context, inputs);
    throw this.b.fail(
      `the layer class ${className} is not read: build the model of the layers that docs/tensorflowjs.md lists, or convert it to ONNX`,
    );
  }
}

/** The calls of layers, each behind those that it reads from. */
function inOrder(
  b: GraphBuilder,
  { layers }: Container,
  given: ReadonlyMap<string, unknown>,
): { layer: LayerConfig; node: number }[] {
  const all = layers.flatMap((layer) => layer.calls.map((refs, node) => ({ layer, node, refs })));
  const made = new Map<string, (typeof all)[number]>(
    all.map((call) => [JSON.stringify([call.layer.name, call.node]), call]),
  );
  const readers = new Map<(typeof all)[number], (typeof all)[number][]>();
  const missing = new Map<(typeof all)[number], number>();
  const ready: typeof all = [];
  for (const call of all) {
    let count = 0;
    for (const ref of call.refs) {
      if (given.has(keyOf(ref))) continue;
      const source = made.get(JSON.stringify([ref.layer, ref.node]));
      if (source === undefined)
        throw badModel(
          `${call.layer.name} reads ${ref.layer}, which is no layer of the model`,
          'modelTopology',
          call.layer.name,
        );
      const known = readers.get(source);
      if (known === undefined) readers.set(source, [call]);
      else known.push(call);
      count += 1;
    }
    missing.set(call, count);
    if (count === 0) ready.push(call);
  }
  const order: typeof all = [];
  for (let at = 0; at < ready.length; at++) {
    const call = ready[at];
    if (call === undefined) break;
    order.push(call);
    for (const reader of readers.get(call) ?? []) {
      const left = (missing.get(reader) ?? 0) - 1;
      missing.set(reader, left);
      if (left === 0) ready.push(reader);
    }
  }
  const stuck = all.find((call) => (missing.get(call) ?? 0) > 0);
  if (stuck !== undefined)
    throw badModel(`the layers have a cycle through ${stuck.layer.name}`, 'modelTopology', stuck.layer.name);
  b.scope = '';
  return order;
}
