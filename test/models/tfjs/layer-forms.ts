import { keras } from './reference.js';

/** Numbers that depend on the seed only. */
export class Choice {
  private state: number;

  constructor(seed: number) {
    this.state = seed * 2654435761 + 1;
  }

  private next(): number {
    this.state = (Math.imul(this.state ^ (this.state >>> 15), 2246822519) + 3266489917) | 0;
    return (this.state >>> 8) / 2 ** 24;
  }

  int(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  of<T>(...items: readonly T[]): T {
    const item = items[Math.floor(this.next() * items.length)];
    if (item === undefined) throw new RangeError('nothing to choose from');
    return item;
  }
}

type Tensors = keras.SymbolicTensor;

export interface LayerForm {
  /** Shapes of the inputs without the batch. */
  inputs: (c: Choice) => number[][];
  build: (c: Choice, inputs: Tensors[]) => Tensors | Tensors[];
  /** Of whole numbers below this. */
  below?: number;
}

const { layers } = keras;
const picture = (c: Choice): number[][] => [[c.int(5, 9), c.int(5, 9), c.int(1, 4)]];
const sequence = (c: Choice): number[][] => [[c.int(5, 9), c.int(1, 4)]];
const row = (c: Choice): number[][] => [[c.int(2, 9)]];
const two = (c: Choice): number[][] => {
  const [shape = []] = picture(c);
  return [shape, shape];
};
const one =
  (make: (c: Choice) => { apply: (x: Tensors) => unknown }): LayerForm['build'] =>
  (c, [x]) =>
    make(c).apply(x as Tensors) as Tensors;
const merge =
  (make: () => { apply: (x: Tensors[]) => unknown }): LayerForm['build'] =>
  (_, inputs) =>
    make().apply(inputs) as Tensors;
const padding = (c: Choice) => c.of('same' as const, 'valid' as const);
const kernel = (c: Choice): [number, number] => [c.int(1, 3), c.int(1, 3)];
/** A stride, or a dilation: TensorFlow takes no both. */
const spread = (c: Choice) =>
  c.of({ strides: 1 }, { strides: 2 }, { strides: [2, 1] as [number, number] }, { dilationRate: 2 });
const ACTIVATIONS = [
  'linear',
  'relu',
  'relu6',
  'elu',
  'selu',
  'sigmoid',
  'hardSigmoid',
  'tanh',
  'softplus',
  'softsign',
  'softmax',
  'logSoftmax',
  'swish',
  'mish',
  'gelu',
  'gelu_new',
] as const;

export const LAYER_FORMS: Record<string, LayerForm> = {
  Conv2D: {
    inputs: picture,
    build: one((c) =>
      layers.conv2d({
        filters: c.int(1, 5),
        kernelSize: kernel(c),
        padding: padding(c),
        ...spread(c),
        useBias: c.of(true, false),
        activation: c.of('linear', 'relu', 'elu'),
      }),
    ),
  },
  'Conv2D, channels first': {
    inputs: picture,
    build: one((c) =>
      layers.conv2d({ filters: c.int(1, 5), kernelSize: [1, 1], dataFormat: 'channelsFirst', padding: padding(c) }),
    ),
  },
  Conv1D: {
    inputs: sequence,
    build: one((c) =>
      layers.conv1d({
        filters: c.int(1, 5),
        kernelSize: c.int(1, 4),
        padding: padding(c),
        ...c.of({ strides: 1 }, { strides: 2 }, { dilationRate: 2 }),
      }),
    ),
  },
  DepthwiseConv2D: {
    inputs: picture,
    build: one((c) =>
      layers.depthwiseConv2d({
        kernelSize: c.int(1, 3),
        depthMultiplier: c.int(1, 3),
        padding: padding(c),
        strides: c.of(1, 2),
        useBias: c.of(true, false),
      }),
    ),
  },
  SeparableConv2D: {
    inputs: picture,
    build: one((c) =>
      layers.separableConv2d({
        filters: c.int(1, 5),
        kernelSize: c.int(1, 3),
        depthMultiplier: c.int(1, 2),
        padding: padding(c),
        strides: c.of(1, 2),
        activation: 'tanh',
      }),
    ),
  },
  Conv2DTranspose: {
    inputs: picture,
    build: one((c) =>
      layers.conv2dTranspose({
        filters: c.int(1, 5),
        kernelSize: kernel(c),
        padding: padding(c),
        strides: [c.int(1, 3), c.int(1, 3)],
      }),
    ),
  },
  'Dense on rows': {
    inputs: row,
    build: one((c) =>
      layers.dense({
        units: c.int(1, 6),
        useBias: c.of(true, false),
        activation: c.of('linear', 'softmax', 'sigmoid'),
      }),
    ),
  },
  'Dense on sequences': {
    inputs: sequence,
    build: one((c) => layers.dense({ units: c.int(1, 6), useBias: c.of(true, false) })),
  },
  'BatchNormalization of pictures': {
    inputs: picture,
    build: one((c) =>
      layers.batchNormalization({ center: c.of(true, false), scale: c.of(true, false), epsilon: 0.01 }),
    ),
  },
  'BatchNormalization of rows': { inputs: row, build: one(() => layers.batchNormalization()) },
  LayerNormalization: { inputs: sequence, build: one((c) => layers.layerNormalization({ center: c.of(true, false) })) },
  ...Object.fromEntries(
    ACTIVATIONS.map((activation): [string, LayerForm] => [
      `Activation ${activation}`,
      // The softmax of TensorFlow.js takes the last axis only.
      {
        inputs: picture,
        build: (c, [x]) =>
          layers
            .activation({ activation: activation as 'relu' })
            .apply(layers.conv2d({ filters: c.int(2, 4), kernelSize: 1 }).apply(x as Tensors)) as Tensors,
      },
    ]),
  ),
  ReLU: { inputs: picture, build: one((c) => layers.reLU(c.of({}, { maxValue: 0.3 }))) },
  LeakyReLU: { inputs: picture, build: one((c) => layers.leakyReLU({ alpha: c.of(0.1, 0.3) })) },
  ELU: { inputs: picture, build: one(() => layers.elu()) },
  ThresholdedReLU: { inputs: picture, build: one(() => layers.thresholdedReLU({ theta: 0.2 })) },
  'PReLU of every value': {
    inputs: picture,
    build: (_, [x]) =>
      layers.prelu().apply(layers.conv2d({ filters: 2, kernelSize: 1 }).apply(x as Tensors)) as Tensors,
  },
  'PReLU of channels': {
    inputs: picture,
    build: (_, [x]) =>
      layers
        .prelu({ sharedAxes: [1, 2] })
        .apply(layers.conv2d({ filters: 3, kernelSize: 2 }).apply(x as Tensors)) as Tensors,
  },
  Softmax: { inputs: row, build: one(() => layers.softmax({ axis: -1 })) },
  MaxPooling2D: {
    inputs: picture,
    build: one((c) =>
      layers.maxPooling2d({ poolSize: kernel(c), strides: [c.int(1, 3), c.int(1, 3)], padding: padding(c) }),
    ),
  },
  AveragePooling2D: {
    inputs: picture,
    build: one((c) =>
      layers.averagePooling2d({ poolSize: kernel(c), strides: [c.int(1, 3), c.int(1, 3)], padding: padding(c) }),
    ),
  },
  MaxPooling1D: {
    inputs: sequence,
    build: one((c) => layers.maxPooling1d({ poolSize: c.int(1, 3), strides: c.int(1, 3), padding: padding(c) })),
  },
  AveragePooling1D: {
    inputs: sequence,
    build: one((c) => layers.averagePooling1d({ poolSize: c.int(1, 3), strides: c.int(1, 3), padding: padding(c) })),
  },
  GlobalAveragePooling2D: {
    inputs: picture,
    build: (c, [x]) =>
      layers
        .globalAveragePooling2d({})
        .apply(layers.conv2d({ filters: c.int(1, 4), kernelSize: 2 }).apply(x as Tensors)) as Tensors,
  },
  GlobalMaxPooling2D: { inputs: picture, build: one(() => layers.globalMaxPooling2d({})) },
  GlobalAveragePooling1D: { inputs: sequence, build: one(() => layers.globalAveragePooling1d({})) },
  GlobalMaxPooling1D: { inputs: sequence, build: one(() => layers.globalMaxPooling1d({})) },
  Add: { inputs: two, build: merge(() => layers.add()) },
  Multiply: { inputs: two, build: merge(() => layers.multiply()) },
  Average: { inputs: two, build: merge(() => layers.average()) },
  Maximum: { inputs: two, build: merge(() => layers.maximum()) },
  Minimum: { inputs: two, build: merge(() => layers.minimum()) },
  Concatenate: {
    inputs: two,
    build: (c, [x, y]) =>
      layers
        .concatenate({ axis: c.of(-1, 1, 3) })
        .apply([
          layers.conv2d({ filters: 2, kernelSize: 1 }).apply(x as Tensors),
          layers.conv2d({ filters: 2, kernelSize: 1, activation: c.of('relu', 'linear') }).apply(y as Tensors),
        ] as Tensors[]) as Tensors,
  },
  'Add of a picture and its mean': {
    inputs: picture,
    build: (_, [x]) => {
      const wide = layers.conv2d({ filters: 3, kernelSize: 2 }).apply(x as Tensors) as Tensors;
      const mean = layers
        .reshape({ targetShape: [1, 1, 3] })
        .apply(layers.globalAveragePooling2d({}).apply(wide)) as Tensors;
      const gate = layers.conv2d({ filters: 3, kernelSize: 1, activation: 'sigmoid' }).apply(mean) as Tensors;
      return layers.multiply().apply([wide, gate]) as Tensors;
    },
  },
  Flatten: {
    inputs: picture,
    build: (c, [x]) =>
      layers
        .dense({ units: 3 })
        .apply(
          layers.flatten().apply(layers.conv2d({ filters: c.int(1, 3), kernelSize: 2 }).apply(x as Tensors)),
        ) as Tensors,
  },
  Reshape: {
    inputs: () => [[4, 6, 2]],
    build: one((c) => layers.reshape({ targetShape: c.of([8, 6], [2, 12, 2], [-1, 3], [48]) })),
  },
  Permute: {
    inputs: picture,
    build: (c, [x]) =>
      layers
        .permute({ dims: c.of([1, 2, 3], [2, 1, 3], [3, 1, 2]) })
        .apply(layers.conv2d({ filters: 2, kernelSize: 2 }).apply(x as Tensors)) as Tensors,
  },
  RepeatVector: { inputs: row, build: one((c) => layers.repeatVector({ n: c.int(1, 4) })) },
  ZeroPadding2D: {
    inputs: picture,
    build: one((c) =>
      layers.zeroPadding2d({
        padding: c.of<number | [number, number] | [[number, number], [number, number]]>(
          1,
          [1, 2],
          [
            [0, 1],
            [2, 0],
          ],
        ),
      }),
    ),
  },
  Cropping2D: {
    inputs: picture,
    build: one((c) =>
      layers.cropping2D({
        cropping: c.of<[[number, number], [number, number]]>(
          [
            [0, 1],
            [2, 0],
          ],
          [
            [1, 1],
            [0, 0],
          ],
        ),
      }),
    ),
  },
  UpSampling2D: {
    inputs: picture,
    build: one((c) =>
      layers.upSampling2d({ size: [c.int(1, 3), c.int(1, 3)], interpolation: c.of('nearest', 'bilinear') }),
    ),
  },
  Rescaling: { inputs: picture, build: one((c) => layers.rescaling({ scale: 1 / 127.5, offset: c.of(0, -1) })) },
  Dropout: { inputs: picture, build: one(() => layers.dropout({ rate: 0.5 })) },
  GaussianNoise: { inputs: picture, build: one(() => layers.gaussianNoise({ stddev: 0.5 })) },
  Embedding: {
    inputs: () => [[6]],
    build: one((c) => layers.embedding({ inputDim: 7, outputDim: c.int(1, 4) })),
    below: 7,
  },
  LSTM: {
    inputs: sequence,
    build: one((c) =>
      layers.lstm({
        recurrentInitializer: 'zeros',
        units: c.int(1, 4),
        returnSequences: c.of(true, false),
        recurrentActivation: c.of('sigmoid', 'hardSigmoid'),
        goBackwards: c.of(true, false),
      }),
    ),
  },
  GRU: {
    inputs: sequence,
    build: one((c) =>
      layers.gru({
        recurrentInitializer: 'zeros',
        units: c.int(1, 4),
        returnSequences: c.of(true, false),
        recurrentActivation: c.of('sigmoid', 'hardSigmoid'),
      }),
    ),
  },
  SimpleRNN: {
    inputs: sequence,
    build: one((c) =>
      layers.simpleRNN({
        recurrentInitializer: 'zeros',
        units: c.int(1, 4),
        returnSequences: c.of(true, false),
        activation: c.of('tanh', 'relu'),
      }),
    ),
  },
  'a model inside a model, used twice': {
    inputs: picture,
    build: (c, [x]) => {
      const shape = (x as Tensors).shape.slice(1) as number[];
      const inner = keras.sequential({
        layers: [
          layers.conv2d({
            inputShape: shape,
            filters: shape[2] ?? 1,
            kernelSize: 3,
            padding: 'same',
            activation: 'relu',
          }),
        ],
      });
      const once = inner.apply(x as Tensors) as Tensors;
      return c.of(true, false) ? (inner.apply(once) as Tensors) : once;
    },
  },
  'several outputs': {
    inputs: two,
    build: (c, [x, y]) => {
      const sum = layers.add().apply([x as Tensors, y as Tensors]) as Tensors;
      return [
        layers.conv2d({ filters: c.int(1, 3), kernelSize: 2 }).apply(sum) as Tensors,
        layers.reLU().apply(y as Tensors) as Tensors,
        sum,
      ];
    },
  },
};
