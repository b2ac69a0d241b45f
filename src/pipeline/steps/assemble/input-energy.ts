import { inputsOfLayers, Runner, type Model, type Tensor } from '../../../models/index.js';
import type { Network } from '../../network/network.js';
import { batches, floats } from '../../network/network-pass.js';

/** Mean squares settle quickly. */
const IMAGES = 128;

/**
 * Mean square of every channel of what the layers of `model` read, over the first calibration images, by tensor.
 * Channels are the second axis of a feature map, the last axis of rows.
 */
export async function inputEnergies(
  model: Model,
  network: Pick<Network, 'calibration' | 'batch' | 'images' | 'fixedBatch'>,
  threads: number,
  signal: AbortSignal,
): Promise<Map<string, Float32Array>> {
  const axes = inputsOfLayers(model);
  const inner = [...axes.keys()].filter((name) => model.graph.input.every((input) => input.name !== name));
  const sums = new Map<string, { squares: Float64Array; count: number }>();
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
        const sum = sums.get(name) ?? { squares: new Float64Array(channels), count: 0 };
        addSquares(sum.squares, value, axis);
        sum.count += floats(value).length / channels;
        sums.set(name, sum);
      }
    }
  } finally {
    await runner.release();
  }
  return new Map(
    [...sums].map(([name, { squares, count }]) => [
      name,
      Float32Array.from(squares, (sum) => sum / Math.max(1, count)),
    ]),
  );
}

function addSquares(squares: Float64Array, value: Tensor, axis: 1 | -1): void {
  const data = floats(value);
  const stride = axis === -1 ? 1 : value.dims.slice(2).reduce((a, b) => a * b, 1);
  for (let begin = 0, channel = 0; begin < data.length; begin += stride, channel++) {
    let sum = 0;
    for (let i = begin; i < begin + stride; i++) sum += data[i] ** 2;
    squares[channel % squares.length] = squares[channel % squares.length] + sum;
  }
}
