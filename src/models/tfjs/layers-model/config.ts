import { at, list, number, numbers, path, text, type Json } from '../io/json.js';

/** The configuration of one layer, as Keras 2 and 3 write it. */
export class Config {
  constructor(readonly json: Json | undefined) {}

  number(key: string, fallback: number): number {
    return number(at(this.json, key)) ?? fallback;
  }

  flag(key: string, fallback: boolean): boolean {
    const value = at(this.json, key);
    return typeof value === 'boolean' ? value : fallback;
  }

  text(key: string, fallback: string): string {
    return text(at(this.json, key)) ?? fallback;
  }

  /** One number for every axis; a single one stands for all. */
  each(key: string, axes: number, fallback: number[]): number[] {
    const value = at(this.json, key);
    const one = number(value);
    if (one !== null) return Array.from({ length: axes }, () => one);
    const many = numbers(value);
    return many?.length === axes ? many : fallback;
  }

  numbers(key: string): number[] | null {
    return numbers(at(this.json, key));
  }

  /** As `numbers`, with -1 for null. */
  sizes(key: string): number[] | null {
    const found = list(at(this.json, key))?.map((size) => (size === null ? -1 : number(size)));
    return found === undefined || found.some((size) => size === null) ? null : found.map((size) => size ?? -1);
  }

  /** Name of a function or of a layer that serves as one, in lower case; an object where it is more than a name. */
  activation(key: string, fallback = 'linear'): { name: string; config: Config } {
    const value = at(this.json, key);
    const name = text(value) ?? text(at(value, 'config')) ?? text(at(value, 'class_name')) ?? fallback;
    return { name: snake(name), config: new Config(at(value, 'config')) };
  }

  /** [before, after] for every axis of: a number, one for each axis, or both for each. */
  pads(key: string, axes: number): [number, number][] | null {
    const value = at(this.json, key);
    const items = list(value) ?? Array.from({ length: axes }, () => value ?? 0);
    const found = items.map((item): [number, number] | null => {
      const one = number(item);
      if (one !== null) return [one, one];
      const [before, after] = numbers(item) ?? [];
      return before === undefined || after === undefined ? null : [before, after];
    });
    return found.length === axes && found.every((pad) => pad !== null) ? found.map((pad) => pad ?? [0, 0]) : null;
  }

  /** With the batch: of Keras 2, of Keras 3, and of TensorFlow.js itself. */
  inputShape(): (number | null)[] | null {
    const given = ['batch_input_shape', 'batch_shape', 'batchInputShape', 'batchShape']
      .map((key) => list(at(this.json, key)))
      .find((found) => found !== null);
    if (given !== undefined) return given.map(number);
    const inner = list(at(this.json, 'input_shape')) ?? list(at(this.json, 'inputShape'));
    return inner === null ? null : [null, ...inner.map(number)];
  }

  /** Keras 3 writes a policy where Keras 2 has a name. */
  type(): string {
    const value = at(this.json, 'dtype');
    return text(value) ?? text(path(value, 'config', 'name')) ?? 'float32';
  }
}

/** `hardSigmoid` as `hard_sigmoid`, `ReLU` as `relu`. */
const snake = (name: string): string =>
  /^[A-Z]/.test(name) ? name.toLowerCase() : name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
