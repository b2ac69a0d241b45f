import { realInputs, type Model } from '../../ir/model.js';
import { isIdentity } from '../build/value.js';
import { at, isObject } from '../io/json.js';
import { cameReduced, LayersOrigin } from '../origin.js';
import { writeZip } from '../write/files.js';
import type { Ref, Weights } from '../write/target.js';
import { Walker, type Written } from '../write/walker.js';
import { writeNetwork } from '../write/write.js';
import type { LayerCall } from './read.js';
import { LayersTarget } from './target.js';
import { ONLY_IN_TRAINING } from './training-only.js';

/** Layers that come back as they were: their operators have no other form as layers. */
const KEPT = new Set([
  'LSTM',
  'GRU',
  'SimpleRNN',
  'LayerNormalization',
  'Embedding',
  'ThresholdedReLU',
  'RepeatVector',
  'Resizing',
  'Activation',
  'Average',
  'Softmax',
]);

/** Writes a layers-model that trains: new layers where the network was changed, those of training where they were. */
export async function saveLayers(model: Model, path: string): Promise<void> {
  const origin = model.origin instanceof LayersOrigin ? model.origin : null;
  const names = [...realInputs(model.graph), ...model.graph.output].map(({ name }) => name);
  const target = new LayersTarget(names);
  const walker = new Walker(model, target, origin === null ? undefined : trainingLayers(origin, target));
  writeNetwork(walker, origin === null ? undefined : keptLayers(origin, model, target));
  const weights = new Map<string, Weights>();
  for (const { name } of target.layers)
    for (const [key, value] of target.weights.get(name) ?? []) weights.set(`${name}/${key}`, value);
  const end = (ref: Ref) => [ref, 0, 0];
  const json = {
    format: 'layers-model',
    generatedBy: (origin === null ? undefined : at(origin.json, 'generatedBy')) ?? 'sparank',
    convertedBy: 'sparank',
    modelTopology: {
      keras_version: '2.10.0',
      backend: 'tensorflow',
      model_config: {
        class_name: 'Model',
        config: {
          name: 'model',
          layers: target.layers,
          input_layers: target.inputs.map(end),
          output_layers: target.outputs.map(end),
        },
      },
    },
  };
  const filename = model.filename.endsWith('.json') ? model.filename : 'model.json';
  await writeZip(path, filename, { json, weights, halves: cameReduced(model) });
}

const configOf = ({ layer }: LayerCall): Record<string, unknown> =>
  isObject(layer.config.json) ? { ...layer.config.json } : {};

/** Puts layers such as Dropout behind the tensors that they stood behind. */
function trainingLayers({ calls }: LayersOrigin, target: LayersTarget): (tensor: string, written: Written) => Written {
  const behind = new Map(
    calls
      .filter(({ layer }) => ONLY_IN_TRAINING.includes(layer.className))
      .map((call) => [call.outputs[0]?.tensor ?? '', call]),
  );
  return (tensor, written) => {
    const call = behind.get(tensor);
    if (call === undefined) return written;
    return {
      ...written,
      ref: target.keep(
        call.layer.className,
        { name: call.layer.name, inputs: [written.ref], config: configOf(call) },
        new Map(),
      ),
    };
  };
}

/** Writes the first node of a layer that is still whole as that layer; its other nodes are done with. */
function keptLayers(
  { calls, weights }: LayersOrigin,
  { graph }: Model,
  target: LayersTarget,
): (w: Walker, node: string) => boolean {
  const present = new Set(graph.node.map(({ name }) => name));
  const whole = calls.filter(
    ({ layer, nodes, outputs }) =>
      KEPT.has(layer.className) && nodes.length > 0 && outputs.length === 1 && nodes.every((name) => present.has(name)),
  );
  const first = new Map(whole.map((call) => [call.nodes[0] ?? '', call]));
  const done = new Set<string>();
  return (w, node) => {
    if (done.has(node)) return true;
    const call = first.get(node);
    const [output] = call?.outputs ?? [];
    if (call === undefined || output === undefined || !call.inputs.every(({ tensor }) => w.has(tensor))) return false;
    const inputs = call.inputs.map(({ tensor, order }) => {
      // As the layer saw it: its axes are those of the model that was sent.
      const written = w.get(tensor);
      const wanted = order === null ? null : order.map((_, i) => order.indexOf(i));
      return wanted === null ? w.plain(written, call.layer.name).ref : w.ordered(written, wanted, call.layer.name).ref;
    });
    const prefix = `${call.layer.name}/`;
    const own = new Map(
      [...weights]
        .filter(([name]) => name.startsWith(prefix))
        .map(([name, tensor]): [string, Weights] => [
          name.slice(name.lastIndexOf('/') + 1),
          { ...tensor, coding: null },
        ]),
    );
    const ref = target.keep(call.layer.className, { name: call.layer.name, inputs, config: configOf(call) }, own);
    const turned = output.order === null ? null : output.order.map((_, i) => output.order?.indexOf(i) ?? i);
    const known = Array.from({ length: output.rank ?? 0 }, () => null);
    const shape = shapeBehind(w, call, known);
    w.set(output.tensor, { ref, order: turned === null || isIdentity(turned) ? null : turned, shape });
    for (const name of call.nodes) done.add(name);
    return true;
  };
}

/** An activation keeps the shape; of other layers only the number of axes is known. */
function shapeBehind(w: Walker, { layer, inputs }: LayerCall, unknown: null[]): Written['shape'] {
  const [input] = inputs;
  const same = ['Activation', 'Average', 'Softmax', 'ThresholdedReLU', 'LayerNormalization'].includes(layer.className);
  if (same && input !== undefined) return w.get(input.tensor).shape;
  const units = layer.config.number('units', layer.config.number('output_dim', 0));
  return units > 0 ? [...unknown.slice(1), units] : unknown;
}
