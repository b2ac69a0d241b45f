import { FLOAT16_MAX, floatToHalf } from '../../coding/float16.js';
import type { WeightCode } from '../../coding/weight-code.js';
import type { NameSource } from '../../graph/graph-index.js';
import { makeInt, makeInts, makeNode } from '../../ir/attributes.js';
import { DataType, type NodeProto, type TensorProto } from '../../ir/messages.js';
import { floatTensor, int64Tensor } from '../../ir/tensors.js';
import { bytesOf, scaleDims, type CodedTensor } from './coder.js';

/** Numbers of which the largest is at least this are kept as halves to 11 bits of it. */
const FLOAT16_NORMAL = 2 ** -14;
/** Numbers for which a `Cast` takes fewer bytes than halves save. */
const FEWEST_HALVES = 48;

/** From here on `Split` takes its sizes as an input. */
const SPLIT_SIZES = 13;

/**
 * Writes codes of weights: indices into tables, and the operators that decode them. Their names are short, since many small layers
 * have many of them, and nodes have none. Tensors that share a table are looked up in it together and split: nodes for each would take
 * as many bytes as a quarter of the indices of a small network.
 */
export class CodeWriter {
  private readonly sharing = new Map<Float32Array, WeightCode[]>();
  /** Vectors of each that shares a table. */
  private readonly looked = new Map<WeightCode, string>();
  /** Sizes that are written already. */
  private readonly sizes = new Map<string, string>();

  /** @param codes all that will be written */
  constructor(
    private readonly names: NameSource,
    codes: readonly WeightCode[],
    private readonly opset: number,
  ) {
    for (const code of codes)
      if (code.table !== null) this.sharing.set(code.table, [...(this.sharing.get(code.table) ?? []), code]);
  }

  written(code: WeightCode): CodedTensor {
    const { weight, dims, layout, table, width, indices, scales } = code;
    const own: CodedTensor = { tensors: [], nodes: [] };
    const name = (part: string) => this.names.fresh(`code/${part}`);
    const add = (tensor: TensorProto) => {
      own.tensors.push(tensor);
      return tensor.name;
    };
    const node = (op: string, input: string[], output: string, attribute = [] as NodeProto['attribute']) => {
      own.nodes.push(makeNode(op, '', input, [output], attribute));
      return output;
    };
    const cast = (from: string, to: number) => node('Cast', [from], name('v'), [makeInt('to', to)]);
    const floats = (part: string, sizes: number[], data: Float32Array): string => {
      const largest = data.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
      if (data.length < FEWEST_HALVES || !(largest >= FLOAT16_NORMAL && largest <= FLOAT16_MAX))
        return add(floatTensor(name(part), sizes, data));
      const rawData = bytesOf(Uint16Array.from(data, floatToHalf));
      return cast(add({ name: name(part), dims: sizes, dataType: DataType.FLOAT16, rawData }), DataType.FLOAT);
    };
    const scale = floats('s', scales.length === 1 ? [] : scaleDims({ dims, layout }), scales);
    if (table === null) {
      const rawData = bytesOf(indices);
      const number = cast(add({ name: name('i'), dims, dataType: DataType.INT8, rawData }), DataType.FLOAT);
      node('Mul', [number, scale], weight);
      return own;
    }
    const integers = (sizes: readonly number[]): string => {
      const key = sizes.join(' ');
      const known = this.sizes.get(key) ?? add(int64Tensor(name('d'), [sizes.length], sizes));
      this.sizes.set(key, known);
      return known;
    };
    const all = this.sharing.get(table) ?? [code];
    if (!this.looked.has(code)) {
      const entries = floats('t', [table.length / width, width], table);
      const together = Uint8Array.from(all.flatMap((one) => [...one.indices]));
      const raw = { name: name('i'), dims: [together.length], dataType: DataType.UINT8, rawData: bytesOf(together) };
      const vectors = node('Gather', [entries, cast(add(raw), DataType.INT32)], name('v'));
      if (all.length === 1) this.looked.set(code, vectors);
      else {
        const counts = all.map((one) => one.indices.length);
        for (const one of all) this.looked.set(one, name('v'));
        const parts = all.flatMap((one) => this.looked.get(one) ?? []);
        const [input, attribute] =
          this.opset < SPLIT_SIZES ? [[vectors], [makeInts('split', counts)]] : [[vectors, integers(counts)], []];
        own.nodes.push(makeNode('Split', '', input, parts, attribute));
      }
    }
    const number = node('Reshape', [this.looked.get(code) ?? '', integers(dims)], name('v'));
    node('Mul', [number, scale], weight);
    return own;
  }
}
