import type { GraphBuilder } from '../build/graph-builder.js';
import { activation, elu, leakyRelu } from '../build/elementwise.js';
import type { Value } from '../build/value.js';
import type { StoredTensor } from '../io/weights.js';
import type { ChannelAxis } from '../build/convolution.js';
import type { Config } from './config.js';

/** One call of a layer, as what reads its class sees it. */
export class LayerContext {
  constructor(
    readonly b: GraphBuilder,
    readonly name: string,
    readonly config: Config,
    private readonly weights: ReadonlyMap<string, StoredTensor>,
  ) {}

  weight(name: string): StoredTensor {
    const found = this.optional(name);
    if (found === null) throw this.b.fail(`the weight ${this.name}/${name} is not in the manifest`);
    return found;
  }

  optional(name: string): StoredTensor | null {
    return this.weights.get(`${this.name}/${name}`) ?? null;
  }

  bias(name = 'bias'): StoredTensor | null {
    return this.config.flag('use_bias', true) ? this.weight(name) : null;
  }

  get channels(): ChannelAxis {
    return this.config.text('data_format', 'channels_last') === 'channels_first' ? 'first' : 'last';
  }

  /** Axes of the picture, or of the sequence. */
  spatial(count: number): number[] {
    return Array.from({ length: count }, (_, i) => i + (this.channels === 'last' ? 1 : 2));
  }

  /** The activation that a layer has of its own. */
  activated(x: Value, key = 'activation', fallback = 'linear'): Value {
    const { name, config } = this.config.activation(key, fallback);
    const made =
      name === 'leakyrelu' || name === 'leaky_relu'
        ? leakyRelu(
            this.b,
            x,
            config.number('alpha', config.number('negative_slope', name === 'leakyrelu' ? 0.3 : 0.2)),
          )
        : name === 'elu'
          ? elu(this.b, x, config.number('alpha', 1))
          : activation(this.b, x, name);
    if (made === null) throw this.b.fail(`the activation ${name} is not read: use one of TensorFlow.js's own`);
    return made;
  }
}

/** Reads one class of layers. */
export type LayerReader = (layer: LayerContext, inputs: readonly Value[]) => Value;
