import { batchNormalization, dense, layerNormalization } from '../build/dense.js';
import { activation, clamp, elementwise, elu, leakyRelu, prelu, softmax } from '../build/elementwise.js';
import { recurrent, type Recurrent } from '../build/recurrent.js';
import { concat, flatten, pad, reshape, resize, slice, TO_END, transpose, unsqueeze } from '../build/shape-ops.js';
import type { Value } from '../build/value.js';
import { only } from './inputs.js';
import type { LayerContext, LayerReader } from './layer-context.js';
import { ONLY_IN_TRAINING } from './training-only.js';

/** What does nothing once a network is trained. */
const same: LayerReader = (layer, inputs) => only(layer, inputs);

const merge =
  (operator: string): LayerReader =>
  ({ b }, inputs) => {
    const [first, ...others] = inputs;
    if (first === undefined || others.length === 0) throw b.fail('the layer takes two inputs or more');
    return others.reduce((sum, value) => elementwise(b, operator, [sum, value]), first);
  };

const average: LayerReader = (layer, inputs) => {
  const { b } = layer;
  return elementwise(b, 'Mul', [merge('Add')(layer, inputs), b.scalar(1 / inputs.length)]);
};

const relu: LayerReader = (layer, inputs) => {
  const { b, config } = layer;
  const x = only(layer, inputs);
  const high = config.number('max_value', Infinity);
  const slope = config.number('negative_slope', 0);
  if (config.number('threshold', 0) !== 0) throw b.fail('a ReLU with a threshold is not read');
  if (slope !== 0) {
    const leaky = leakyRelu(b, x, slope);
    return high === Infinity ? leaky : clamp(b, leaky, null, high);
  }
  return high === Infinity ? b.emit('Relu', [x]) : clamp(b, x, 0, high);
};

const parametricRelu: LayerReader = (layer, inputs) => {
  const alpha = layer.weight('alpha');
  return prelu(layer.b, only(layer, inputs), alpha);
};

const thresholded: LayerReader = (layer, inputs) => {
  const { b, config } = layer;
  const x = only(layer, inputs);
  const over = b.cast(elementwise(b, 'Greater', [x, b.scalar(config.number('theta', 1))], 'bool'), 'float32');
  return elementwise(b, 'Mul', [x, over]);
};

const normalization: LayerReader = (layer, inputs) => {
  const { b, config } = layer;
  const [axis = -1] = config.numbers('axis') ?? [config.number('axis', -1)];
  return batchNormalization(b, only(layer, inputs), {
    scale: config.flag('scale', true) ? layer.weight('gamma') : null,
    shift: config.flag('center', true) ? layer.weight('beta') : null,
    mean: layer.weight('moving_mean'),
    variance: layer.weight('moving_variance'),
    ...{ epsilon: config.number('epsilon', 1e-3), axis },
  });
};

const layerNorm: LayerReader = (layer, inputs) => {
  const { b, config } = layer;
  const x = only(layer, inputs);
  const axes = config.numbers('axis') ?? [config.number('axis', -1)];
  if (axes.length !== 1 || (axes[0] !== -1 && axes[0] !== (x.rank ?? 0) - 1))
    throw b.fail('a normalization over other axes than the last is not read');
  const shift = config.flag('center', true) ? layer.weight('beta') : null;
  return layerNormalization(b, x, { scale: layer.weight('gamma'), shift, epsilon: config.number('epsilon', 1e-3) });
};

const zeroPadding: LayerReader = (layer, inputs) => {
  const x = only(layer, inputs);
  const around = layer.config.pads('padding', 2);
  if (around === null) throw layer.b.fail('its padding has another form than [[top, bottom], [left, right]]');
  const pads: [number, number][] = [
    [0, 0],
    [0, 0],
    [0, 0],
    [0, 0],
  ];
  layer.spatial(2).forEach((axis, i) => (pads[axis] = around[i] ?? [0, 0]));
  return pad(layer.b, x, pads);
};

const cropping: LayerReader = (layer, inputs) => {
  const cuts = layer.config.pads('cropping', 2);
  if (cuts === null) throw layer.b.fail('its cropping has another form than [[top, bottom], [left, right]]');
  const axes = layer.spatial(2);
  return slice(
    layer.b,
    only(layer, inputs),
    cuts.map(([before, after], i) => ({ axis: axes[i] ?? 1, begin: before, end: after === 0 ? TO_END : -after })),
  );
};

const upSampling: LayerReader = (layer, inputs) => {
  const { b, config } = layer;
  const interpolation = config.text('interpolation', 'nearest');
  if (interpolation !== 'nearest' && interpolation !== 'bilinear')
    throw b.fail(`the interpolation ${interpolation} is not read: use nearest or bilinear`);
  const mode = interpolation === 'nearest' ? 'nearest' : 'linear';
  return resize(b, only(layer, inputs), {
    size: { scales: config.each('size', 2, [2, 2]) },
    mode,
    axes: layer.spatial(2),
  });
};

const resizing: LayerReader = (layer, inputs) => {
  const { b, config } = layer;
  const interpolation = config.text('interpolation', 'bilinear');
  const sizes = [config.number('height', 0), config.number('width', 0)];
  if (sizes.some((size) => !(size > 0))) throw b.fail('it has no height and width');
  return resize(b, only(layer, inputs), { size: { sizes }, mode: interpolation === 'nearest' ? 'nearest' : 'linear' });
};

/** A number, or one for every channel. */
const rescaling: LayerReader = (layer, inputs) => {
  const { b, config } = layer;
  const scaled = elementwise(b, 'Mul', [only(layer, inputs), b.scalar(config.number('scale', 1))]);
  const offset = config.number('offset', 0);
  return offset === 0 ? scaled : elementwise(b, 'Add', [scaled, b.scalar(offset)]);
};

const permuteLayer: LayerReader = (layer, inputs) => {
  const dims = layer.config.numbers('dims');
  const x = only(layer, inputs);
  if (dims === null || [...dims].sort().some((d, i) => d !== i + 1)) throw layer.b.fail('its dims are no permutation');
  return transpose(x, [0, ...dims]);
};

const reshapeLayer: LayerReader = (layer, inputs) => {
  // TensorFlow.js writes null for what is worked out.
  const shape = layer.config.sizes('target_shape');
  if (shape === null) throw layer.b.fail('it has no target_shape');
  return reshape(layer.b, only(layer, inputs), shape, true);
};

const repeat: LayerReader = (layer, inputs) => {
  const { b, config } = layer;
  const wide = unsqueeze(b, only(layer, inputs), [1]);
  return b.emit('Tile', [wide, b.ints([1, config.number('n', 1), 1])]);
};

const recurrentLayer =
  (kind: Recurrent['kind'], gate: string): LayerReader =>
  (layer, inputs) => {
    const { config } = layer;
    return recurrent(layer.b, only(layer, inputs), {
      kind,
      units: config.number('units', 0),
      kernel: layer.weight('kernel'),
      recurrence: layer.weight('recurrent_kernel'),
      bias: layer.bias(),
      resetAfter: config.flag('reset_after', false),
      activation: config.activation('activation', 'tanh').name,
      recurrentActivation: config.activation('recurrent_activation', gate).name,
      backwards: config.flag('go_backwards', false),
      sequences: config.flag('return_sequences', false),
    });
  };

const embedding: LayerReader = (layer, inputs) => {
  const { b } = layer;
  const x = only(layer, inputs);
  const table = b.constant(layer.weight('embeddings'));
  const rows = x.type === 'int64' ? x : b.cast(x, 'int64');
  return b.emit('Gather', [table, b.plain(rows)], { order: null, rank: x.rank === null ? null : x.rank + 1 });
};

const denseLayer: LayerReader = (layer, inputs): Value =>
  layer.activated(dense(layer.b, only(layer, inputs), layer.weight('kernel'), layer.bias()));

const activationLayer: LayerReader = (layer, inputs) => layer.activated(only(layer, inputs));

const one =
  (make: (layer: LayerContext, x: Value) => Value): LayerReader =>
  (layer, inputs) =>
    make(layer, only(layer, inputs));

export const PLAIN_LAYERS: Readonly<Record<string, LayerReader>> = {
  Dense: denseLayer,
  Activation: activationLayer,
  ReLU: relu,
  LeakyReLU: one(({ b, config }, x) => leakyRelu(b, x, config.number('alpha', config.number('negative_slope', 0.3)))),
  ELU: one(({ b, config }, x) => elu(b, x, config.number('alpha', 1))),
  PReLU: parametricRelu,
  ThresholdedReLU: thresholded,
  Softmax: one(({ b, config }, x) => softmax(b, x, { axis: config.number('axis', -1) })),
  BatchNormalization: normalization,
  BatchNormalizationV1: normalization,
  LayerNormalization: layerNorm,
  Add: merge('Add'),
  Multiply: merge('Mul'),
  Maximum: merge('Max'),
  Minimum: merge('Min'),
  Subtract: merge('Sub'),
  Average: average,
  Concatenate: ({ b, config }, inputs) => concat(b, inputs, config.number('axis', -1)),
  Flatten: one(({ b }, x) => flatten(b, x)),
  Reshape: reshapeLayer,
  Permute: permuteLayer,
  RepeatVector: repeat,
  ZeroPadding2D: zeroPadding,
  Cropping2D: cropping,
  UpSampling2D: upSampling,
  Resizing: resizing,
  Rescaling: rescaling,
  Embedding: embedding,
  LSTM: recurrentLayer('LSTM', 'hard_sigmoid'),
  GRU: recurrentLayer('GRU', 'hard_sigmoid'),
  SimpleRNN: recurrentLayer('RNN', 'hard_sigmoid'),
  ...Object.fromEntries([...ONLY_IN_TRAINING, 'ActivityRegularization'].map((name) => [name, same])),
  Swish: one(({ b }, x) => activation(b, x, 'swish') ?? x),
};
