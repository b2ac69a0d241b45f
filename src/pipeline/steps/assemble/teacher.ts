import type { Dataset, Tensor } from '../../../datasets/index.js';
import { extract, Runner, type Model, type Pull, type Running } from '../../../models/index.js';
import { gatherRows } from '../../network/batch.js';
import { floats } from '../../network/network-pass.js';
import { axesOf, varied, type Variation } from './variations.js';

export const NO_VARIATION: ReadonlySet<Variation> = new Set();

/**
 * Weight of all inner feature maps together; that of the outputs is 1. ResNet-20 at 4x, 40 passes, error on new data with
 * 0.2, 1, 4, 16, 64: 0.390, 0.374, 0.366, 0.366, 0.370.
 */
const INNER = 4;
/**
 * A variation suits the data when it moves the means of the original's feature maps hardly more than another choice of
 * samples does: a mirrored cat is a cat, a mirrored letter is none.
 */
const UNLIKE = { ofVariance: 0.01, ofChoice: 3 };

/** The original network, as far as its tensors are targets. */
export class Teacher {
  private constructor(
    private readonly runner: Runner,
    private readonly losses: readonly string[],
    private readonly outputs: readonly string[],
  ) {}

  static async open(
    prepared: Model,
    losses: readonly string[],
    outputs: readonly string[],
    { threads, device }: Running,
  ): Promise<Teacher> {
    return new Teacher(await Runner.open(extract(prepared, [], losses).model, { threads, device }), losses, outputs);
  }

  /** How much every tensor counts: a loss is relative to its variance. */
  async pulls(data: Dataset, batches: readonly (readonly number[])[]): Promise<Map<string, Pull>> {
    const sums = new Map(this.losses.map((name) => [name, { sum: 0, squares: 0, count: 0 }]));
    for (const chosen of batches) {
      const values = await this.runner.run(await gatherRows(data, chosen));
      for (const [name, sum] of sums) {
        const tensor = values.get(name);
        if (tensor === undefined) continue;
        const value = floats(tensor);
        for (const x of value) {
          sum.sum += x;
          sum.squares += x * x;
        }
        sum.count += value.length;
      }
    }
    const outputs = this.losses.filter((name) => this.outputs.includes(name)).length;
    const pulls = new Map<string, Pull>();
    for (const [name, { sum, squares, count }] of sums) {
      const variance = (squares - (sum * sum) / count) / batches.length;
      const share = this.outputs.includes(name) ? 1 / outputs : INNER / Math.max(1, this.losses.length - outputs);
      pulls.set(name, { weight: variance > 0 ? share / variance : 0 });
    }
    return pulls;
  }

  /** Those that leave the data what it is. */
  async variationsOf(
    data: Dataset,
    batches: readonly (readonly number[])[],
    random: () => number,
  ): Promise<ReadonlySet<Variation>> {
    const samples = await Promise.all(batches.map((chosen) => gatherRows(data, chosen)));
    const [first] = samples;
    const [input] = first?.values() ?? [];
    const takesFloats = this.runner.inputs.every(({ type }) => type === 'float32');
    if (first === undefined || first.size > 1 || !takesFloats) return NO_VARIATION;
    if (input === undefined || axesOf(input) === null) return NO_VARIATION;
    const [plain, some, others] = [new Means(), new Means(), new Means()];
    const half = Math.ceil(samples.length / 2);
    for (const [i, batch] of samples.entries()) {
      const values = await this.runner.run(batch);
      plain.add(values);
      (i < half ? some : others).add(values);
    }
    const usual = samples.length < 2 ? 0 : some.distance(others) / 2;
    const suits = async (kind: Variation) => {
      const changed = new Means();
      for (const batch of samples) changed.add(await this.runner.run(varied(batch, new Set([kind]), random)));
      return plain.distance(changed) <= Math.max(UNLIKE.ofVariance, UNLIKE.ofChoice * usual);
    };
    // A mixture is none of the data, but between two of it; it is asked for the original's answer like them.
    const kinds = new Set<Variation>(['mixed']);
    for (const kind of ['mirrored', 'shifted'] as const) if (await suits(kind)) kinds.add(kind);
    return kinds;
  }

  async release(): Promise<void> {
    await this.runner.release();
  }
}

/** Mean and variance of every channel of every tensor. */
class Means {
  private readonly tensors = new Map<string, ChannelMeans>();

  add(values: ReadonlyMap<string, Tensor>): void {
    for (const [name, tensor] of values) {
      const own = this.tensors.get(name) ?? new ChannelMeans(tensor.dims[1] ?? 1);
      own.add(floats(tensor), tensor.dims);
      this.tensors.set(name, own);
    }
  }

  /** The mean over all tensors. */
  distance(other: Means): number {
    const all = [...this.tensors].flatMap(([name, own]) => {
      const same = other.tensors.get(name);
      return same === undefined ? [] : [own.distance(same)];
    });
    return all.reduce((sum, one) => sum + one, 0) / Math.max(1, all.length);
  }
}

/** Sums of the channels (the second axis) of a tensor over samples. */
class ChannelMeans {
  private readonly sums: Float64Array;
  private readonly squares: Float64Array;
  private count = 0;

  constructor(private readonly channels: number) {
    this.sums = new Float64Array(channels);
    this.squares = new Float64Array(channels);
  }

  /** @param values [n, channels, ...] */
  add(values: Float32Array, dims: readonly number[]): void {
    const inner = dims.slice(2).reduce((a, b) => a * b, 1);
    for (let at = 0, channel = 0; at < values.length; channel = (channel + 1) % this.channels) {
      let [sum, square] = [0, 0];
      for (const end = at + inner; at < end; at++) {
        const x = values[at];
        sum += x;
        square += x * x;
      }
      this.sums[channel] = this.sums[channel] + sum;
      this.squares[channel] = this.squares[channel] + square;
    }
    this.count += values.length / this.channels;
  }

  /** Squared difference of the means of all channels, over their variance here. */
  distance(other: ChannelMeans): number {
    let [difference, variance] = [0, 0];
    for (let channel = 0; channel < this.channels; channel++) {
      const mean = this.sums[channel] / this.count;
      difference += (mean - other.sums[channel] / other.count) ** 2;
      variance += this.squares[channel] / this.count - mean ** 2;
    }
    return variance > 0 ? difference / variance : 0;
  }
}
