import type { Files, ModelJson } from './reference.js';

type Attributes = Record<string, object>;

const s = (text: string) => ({ s: Buffer.from(text).toString('base64') });
const ints = (...values: number[]) => ({ list: { i: values.map(String) } });

/** Attributes as the converter of TensorFlow writes them. */
export const attr = {
  s,
  ints,
  flag: (b: boolean) => ({ b }),
  int: (i: number) => ({ i: String(i) }),
  float: (f: number) => ({ f }),
  texts: (...texts: string[]) => ({ list: { s: texts.map((text) => s(text).s) } }),
  type: (type: string) => ({ type }),
};

export interface Constant {
  shape: number[];
  dtype: 'float32' | 'int32';
  values: readonly number[] | Float32Array;
}

/** A graph-model of one input `x` and the output `y`, put together node by node. */
export class GraphSketch {
  readonly nodes: object[] = [];
  private readonly weights: ModelJson['weightsManifest'][number]['weights'] = [];
  private readonly data: Buffer[] = [];

  constructor(shape: readonly number[], type = 'DT_FLOAT') {
    const dim = [-1, ...shape].map((size) => ({ size: String(size) }));
    this.nodes.push({ name: 'x', op: 'Placeholder', attr: { dtype: { type }, shape: { shape: { dim } } } });
  }

  node(name: string, op: string, input: string[], attributes: Attributes = {}): string {
    this.nodes.push({ name, op, input, attr: attributes });
    return name;
  }

  constant({ shape, dtype, values }: Constant): string {
    const name = `const_${String(this.weights.length)}`;
    this.nodes.push({ name, op: 'Const', attr: { dtype: { type: dtype === 'float32' ? 'DT_FLOAT' : 'DT_INT32' } } });
    this.weights.push({ name, shape, dtype });
    const data = dtype === 'float32' ? Float32Array.from(values) : Int32Array.from(values);
    this.data.push(Buffer.from(data.buffer));
    return name;
  }

  ints(...values: number[]): string {
    return this.constant({ shape: [values.length], dtype: 'int32', values });
  }

  int(value: number): string {
    return this.constant({ shape: [], dtype: 'int32', values: [value] });
  }

  files(outputs: string[], signature: object | null = null): Files {
    const json: ModelJson = {
      format: 'graph-model',
      modelTopology: { node: this.nodes, library: {}, versions: { producer: 1 } },
      weightsManifest: [{ paths: ['weights.bin'], weights: this.weights }],
      signature: signature ?? {
        inputs: { x: { name: 'x:0', dtype: 'DT_FLOAT' } },
        outputs: Object.fromEntries(
          outputs.map((name) => [name, { name: name.includes(':') ? name : `${name}:0`, dtype: 'DT_FLOAT' }]),
        ),
      },
    };
    return { 'model.json': Buffer.from(JSON.stringify(json)), 'weights.bin': Buffer.concat(this.data) };
  }
}
