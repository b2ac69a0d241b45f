import { FLOAT16_MAX, floatToHalf } from '../../coding/float16.js';
import type { WeightCode } from '../../coding/weight-code.js';
import type { NameSource } from '../../graph/graph-index.js';
import { makeInt, makeNode } from '../../ir/attributes.js';
import { DataType, type NodeProto, type TensorProto } from '../../ir/messages.js';
import { floatTensor, int64Tensor } from '../../ir/tensors.js';
import { bytesOf, scaleDims, type CodedTensor } from './coder.js';

/** Numbers of which the largest is at least this are kept as halves to 11 bits of it. */
const FLOAT16_NORMAL = 2 ** -14;
/** Numbers for which a `Cast` takes fewer bytes than halves save. */
const FEWEST_HALVES = 48;

/**
 * Writes codes of weights: indices into tables, and the operators that decode them. Their names are short, since many small layers
 * have many of them, and nodes have none.
 */
export class CodeWriter {
  private readonly tables = new Map<Float32Array, string>();
  /** Shapes that are written already. */
  private readonly shapes = new Map<string, string>();

  constructor(private readonly names: NameSource) {}

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
    let known = this.tables.get(table);
    if (known === undefined) {
      known = floats('t', [table.length / width, width], table);
      this.tables.set(table, known);
    }
    const raw = { name: name('i'), dims: [indices.length], dataType: DataType.UINT8, rawData: bytesOf(indices) };
    const vectors = node('Gather', [known, cast(add(raw), DataType.INT32)], name('v'));
    const key = dims.join(' ');
    const shape = this.shapes.get(key) ?? add(int64Tensor(name('d'), [dims.length], dims));
    this.shapes.set(key, shape);
    const number = node('Reshape', [vectors, shape], name('v'));
    node('Mul', [number, scale], weight);
    return own;
  }
}
