import { at, badModel, isObject, list, number, path, text, type Json } from '../io/json.js';
import { Config } from './config.js';

/** A tensor: output `tensor` of call `node` of a layer. */
export interface TensorRef {
  layer: string;
  node: number;
  tensor: number;
}

export interface LayerConfig {
  name: string;
  className: string;
  config: Config;
  json: Json;
  /** What each call of the layer reads. */
  calls: TensorRef[][];
}

/** A model, or one inside another. */
export interface Container {
  name: string;
  layers: LayerConfig[];
  inputs: TensorRef[];
  outputs: TensorRef[];
}

export const isContainer = (className: string): boolean => ['Model', 'Functional', 'Sequential'].includes(className);

export function readContainer(json: Json | undefined, where: string): Container {
  const className = text(at(json, 'class_name')) ?? '';
  const config = at(json, 'config');
  if (!isContainer(className)) {
    throw badModel(
      `${where} is of the class ${className === '' ? '(none)' : className}: a Sequential or functional model is read`,
      where,
    );
  }
  const layers = (list(at(config, 'layers')) ?? list(config) ?? []).map((layer, i) =>
    readLayer(layer, `${where}/layers/${String(i)}`),
  );
  const names = new Set<string>();
  for (const { name } of layers) {
    if (names.has(name)) throw badModel(`two layers are named ${name}`, where, name);
    names.add(name);
  }
  const name = text(at(config, 'name')) ?? '';
  if (className === 'Sequential') return sequential(name, layers, where);
  const inputs = refs(at(config, 'input_layers'), `${where}/input_layers`);
  const outputs = refs(at(config, 'output_layers'), `${where}/output_layers`);
  return fromZero({ name, layers, inputs, outputs });
}

/** The first call of a model inside another has the number 1: number 0 is the one that it was made with. */
function fromZero(container: Container): Container {
  const { layers, outputs } = container;
  const inner = new Set(layers.filter(({ className }) => isContainer(className)).map(({ name }) => name));
  for (const { layer, node } of [...layers.flatMap(({ calls }) => calls.flat()), ...outputs])
    if (node === 0) inner.delete(layer);
  const lowered = (ref: TensorRef): TensorRef => (inner.has(ref.layer) ? { ...ref, node: ref.node - 1 } : ref);
  return {
    ...container,
    layers: layers.map((layer) => ({ ...layer, calls: layer.calls.map((call) => call.map(lowered)) })),
    outputs: outputs.map(lowered),
  };
}

function readLayer(json: Json, where: string): LayerConfig {
  const className = text(at(json, 'class_name'));
  const config = at(json, 'config');
  const name = text(at(json, 'name')) ?? text(at(config, 'name'));
  if (className === null || name === null || (!isObject(config) && !Array.isArray(config)))
    throw badModel(`${where} needs class_name, config and a name`, where);
  const calls = (list(at(json, 'inbound_nodes')) ?? []).map((call, i) =>
    readCall(call, `${where}/inbound_nodes/${String(i)}`),
  );
  return { name, className, config: new Config(config), json, calls };
}

/** Keras 2: a list of [layer, node, tensor, arguments]. Keras 3: the arguments of a call, tensors among them. */
function readCall(call: Json, where: string): TensorRef[] {
  const many = list(call);
  if (many !== null) return typeof many[0] === 'string' ? [ref(many, where)] : many.map((item) => ref(item, where));
  const found: TensorRef[] = [];
  const waiting: Json[] = [at(call, 'args') ?? null, at(call, 'kwargs') ?? null];
  for (let value = waiting.shift(); value !== undefined; value = waiting.shift()) {
    if (text(at(value, 'class_name')) === '__keras_tensor__')
      found.push(ref(path(value, 'config', 'keras_history'), where));
    else if (Array.isArray(value)) waiting.unshift(...value);
    else if (isObject(value)) waiting.unshift(...Object.values(value));
  }
  return found;
}

function ref(value: Json | undefined, where: string): TensorRef {
  const [layer, node, tensor] = list(value) ?? [];
  const found = { layer: text(layer), node: number(node) ?? 0, tensor: number(tensor) ?? 0 };
  if (found.layer === null) throw badModel(`${where} names no layer`, where);
  return { ...found, layer: found.layer };
}

/** A list of tensors; a single one stands alone in Keras 3. */
function refs(value: Json | undefined, where: string): TensorRef[] {
  const items = list(value) ?? [];
  const found = typeof items[0] === 'string' ? [ref(items, where)] : items.map((item) => ref(item, where));
  if (found.length === 0) throw badModel(`${where} is empty`, where);
  return found;
}

/** One behind the other; what a sequence begins with may be no InputLayer, but a layer that knows its shape. */
function sequential(name: string, given: LayerConfig[], where: string): Container {
  const [first] = given;
  if (first === undefined) throw badModel(`${where} has no layers`, where);
  const layers: LayerConfig[] = first.className === 'InputLayer' ? [] : [inputOf(first, where)];
  for (const layer of given) {
    const before = layers.at(-1);
    const calls = before === undefined ? [] : [[{ layer: before.name, node: 0, tensor: 0 }]];
    layers.push({ ...layer, calls: layer.className === 'InputLayer' ? [] : calls });
  }
  const end = (layer: LayerConfig | undefined) => [{ layer: layer?.name ?? '', node: 0, tensor: 0 }];
  return { name, layers, inputs: end(layers[0]), outputs: end(layers.at(-1)) };
}

function inputOf(first: LayerConfig, where: string): LayerConfig {
  const inner = isContainer(first.className) ? readContainer(first.json, where) : null;
  const shape =
    inner === null
      ? first.config.inputShape()
      : (inner.layers.find(({ name }) => name === inner.inputs[0]?.layer)?.config.inputShape() ?? null);
  const json = { batch_input_shape: shape, dtype: first.config.type() };
  return { name: `${first.name}_input`, className: 'InputLayer', config: new Config(json), json, calls: [] };
}
