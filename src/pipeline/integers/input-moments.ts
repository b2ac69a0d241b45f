import { inputsOfLayers, Runner, type Model, type Tensor } from '../../models/index.js';
import type { Network } from '../network/network.js';
import { batches, floats } from '../network/network-pass.js';

/** Means settle quickly. */
const IMAGES = 128;

/** Of every channel of a tensor that a layer reads, by the tensor's name. */
export interface InputMoments {
  /** Mean squares. */
  energies: Map<string, Float32Array>;
  means: Map<string, Float32Array>;
}

/**
 * Means and mean squares of every channel of what the layers of `model` read, over the first calibration images.
 * Channels are the second axis of a feature map, the last axis of rows.
 */
export async function inputMoments(
  model: Model,
  network: Pick<Network, 'calibration' | 'batch' | 'images' | 'fixedBatch'>,
  threads: number,
  signal: AbortSignal,
): Promise<InputMoments> {
  const axes = inputsOfLayers(model);
  const inner = [...axes.keys()].filter((name) => model.graph.input.every((input) => input.name !== name));
  const sums = new Map<string, Sums>();
  const runner = await Runner.open(model, { threads, capture: inner });
  try {
    const images = Math.min(network.images, Math.max(IMAGES, network.fixedBatch ?? 1));
    for (const { begin, end } of batches(images, network.batch)) {
      signal.throwIfAborted();
      const batch = await network.calibration.batch(begin, end);
      const values = new Map([...batch, ...(await runner.run(batch))]);
      for (const [name, axis] of axes) {
        const value = values.get(name);
        if (value === undefined) continue;
        const channels = value.dims.at(axis) ?? 1;
        const none = () => new Float64Array(channels);
        const sum = sums.get(name) ?? { values: none(), squares: none(), count: 0 };
        add(sum, value, axis);
        sum.count += floats(value).length / channels;
        sums.set(name, sum);
      }
    }
  } finally {
    await runner.release();
  }
  const meanOf = (of: 'values' | 'squares') =>
    new Map([...sums].map(([name, sum]) => [name, Float32Array.from(sum[of], (one) => one / Math.max(1, sum.count))]));
  return { energies: meanOf('squares'), means: meanOf('values') };
}

interface Sums {
  values: Float64Array;
  squares: Float64Array;
  /** Values of a channel. */
  count: number;
}

function add({ values, squares }: Sums, tensor: Tensor, axis: 1 | -1): void {
  const data = floats(tensor);
  const stride = axis === -1 ? 1 : tensor.dims.slice(2).reduce((a, b) => a * b, 1);
  for (let begin = 0, channel = 0; begin < data.length; begin += stride, channel++) {
    let [sum, square] = [0, 0];
    for (let i = begin; i < begin + stride; i++) {
      sum += data[i];
      square += data[i] ** 2;
    }
    const at = channel % squares.length;
    values[at] = values[at] + sum;
    squares[at] = squares[at] + square;
  }
}
