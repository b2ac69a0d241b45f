import { convolution, depthwise, pool, transposed, type Pool, type Window } from '../build/convolution.js';
import { pad, reduce } from '../build/shape-ops.js';
import type { Value } from '../build/value.js';
import { only } from './inputs.js';
import type { LayerContext, LayerReader } from './layer-context.js';

function windowOf({ config, b }: LayerContext, axes: number): Window {
  const ones = Array.from({ length: axes }, () => 1);
  const padding = config.text('padding', 'valid');
  if (padding !== 'same' && padding !== 'valid') throw b.fail(`the padding ${padding} is not read: use same or valid`);
  return { strides: config.each('strides', axes, ones), dilations: config.each('dilation_rate', axes, ones), padding };
}

const conv =
  (axes: number): LayerReader =>
  (layer, inputs) => {
    const { b, config, channels } = layer;
    let x = only(layer, inputs);
    const kernel = layer.weight('kernel');
    const causal = axes === 1 && config.text('padding', 'valid') === 'causal';
    if (causal) {
      const [size = 1] = kernel.dims;
      const before = (size - 1) * (config.each('dilation_rate', 1, [1])[0] ?? 1);
      x = pad(b, x, [
        [0, 0],
        [before, 0],
        [0, 0],
      ]);
    }
    const window: Window = causal
      ? { strides: config.each('strides', 1, [1]), dilations: config.each('dilation_rate', 1, [1]), padding: 'valid' }
      : windowOf(layer, axes);
    const groups = config.number('groups', 1);
    return layer.activated(
      convolution(b, x, { kernel: b.constant(kernel), bias: layer.bias(), window, channels, groups }),
    );
  };

const depthwiseConv: LayerReader = (layer, inputs) => {
  const { b, channels } = layer;
  const kernel = b.constant(layer.weight('depthwise_kernel'));
  const x = only(layer, inputs);
  return layer.activated(depthwise(b, x, { kernel, bias: layer.bias(), window: windowOf(layer, 2), channels }));
};

const separable: LayerReader = (layer, inputs) => {
  const { b, channels } = layer;
  const kernel = b.constant(layer.weight('depthwise_kernel'));
  const narrow = depthwise(b, only(layer, inputs), { kernel, bias: null, window: windowOf(layer, 2), channels });
  const window: Window = { strides: [1, 1], dilations: [1, 1], padding: 'valid' };
  const pointwise = b.constant(layer.weight('pointwise_kernel'));
  return layer.activated(convolution(b, narrow, { kernel: pointwise, bias: layer.bias(), window, channels }));
};

const transposedConv: LayerReader = (layer, inputs) => {
  const { b, channels } = layer;
  const kernel = b.constant(layer.weight('kernel'));
  const x = only(layer, inputs);
  return layer.activated(transposed(b, x, { kernel, bias: layer.bias(), window: windowOf(layer, 2), channels }));
};

const pooling =
  (kind: Pool['kind'], axes: number): LayerReader =>
  (layer, inputs) => {
    const { b, config, channels } = layer;
    const size = config.each(
      'pool_size',
      axes,
      Array.from({ length: axes }, () => 2),
    );
    const window = windowOf(layer, axes);
    const strides = config.each('strides', axes, size);
    return pool(b, only(layer, inputs), { kind, size, window: { ...window, strides }, channels });
  };

const globalPooling =
  (operator: string, axes: number): LayerReader =>
  (layer, inputs): Value =>
    reduce(layer.b, operator, only(layer, inputs), {
      axes: layer.spatial(axes),
      keep: layer.config.flag('keepdims', false),
    });

export const CONVOLUTIONS: Readonly<Record<string, LayerReader>> = {
  Conv1D: conv(1),
  Conv2D: conv(2),
  Conv3D: conv(3),
  Convolution2D: conv(2),
  DepthwiseConv2D: depthwiseConv,
  SeparableConv2D: separable,
  Conv2DTranspose: transposedConv,
  MaxPooling1D: pooling('MaxPool', 1),
  MaxPooling2D: pooling('MaxPool', 2),
  MaxPooling3D: pooling('MaxPool', 3),
  AveragePooling1D: pooling('AveragePool', 1),
  AveragePooling2D: pooling('AveragePool', 2),
  AveragePooling3D: pooling('AveragePool', 3),
  GlobalAveragePooling1D: globalPooling('ReduceMean', 1),
  GlobalAveragePooling2D: globalPooling('ReduceMean', 2),
  GlobalMaxPooling1D: globalPooling('ReduceMax', 1),
  GlobalMaxPooling2D: globalPooling('ReduceMax', 2),
};
