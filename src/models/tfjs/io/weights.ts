import { InputError } from '../../../errors/index.js';
import { halfToFloat } from '../../../datasets/half.js';
import { at, badModel, list, number, numbers, text, type Json } from './json.js';

/** A weight as TensorFlow.js has it in memory. */
export interface StoredTensor {
  dims: number[];
  type: 'float32' | 'int32' | 'bool';
  data: Float32Array | Int32Array | Uint8Array;
  /** The file keeps fewer bits of its numbers. */
  reduced?: boolean;
}

export interface WeightGroup {
  paths: string[];
  weights: WeightSpec[];
}

interface WeightSpec {
  name: string;
  dims: number[];
  type: StoredTensor['type'];
  quantization: { type: 'uint8' | 'uint16' | 'float16'; scale: number; min: number } | null;
  /** In the shards. */
  bytes: number;
}

const BYTES = { float32: 4, int32: 4, bool: 1, uint8: 1, uint16: 2, float16: 2 } as const;
type ByteType = keyof typeof BYTES;

const isType = <T extends ByteType>(value: string | null, ...types: readonly T[]): value is T =>
  types.some((type) => type === value);

/** What `weightsManifest` says, checked: no file has been read yet. */
export function readManifest(manifest: Json | undefined, limits: { maxTensorElements: number }): WeightGroup[] {
  const groups = list(manifest);
  if (groups === null) throw badModel('model.json has no list weightsManifest', 'weightsManifest');
  const names = new Set<string>();
  return groups.map((group, g) => {
    const where = `weightsManifest/${String(g)}`;
    const paths = list(at(group, 'paths'))?.map(text);
    const weights = list(at(group, 'weights'));
    if (paths === undefined || weights === null || paths.some((path) => path === null))
      throw badModel(`${where} needs the lists paths and weights`, where);
    return {
      paths: paths.map((path) => path ?? ''),
      weights: weights.map((weight, i) => {
        const spec = readSpec(weight, `${where}/weights/${String(i)}`, limits);
        if (names.has(spec.name)) throw badModel(`weight ${spec.name} is stored twice`, where);
        names.add(spec.name);
        return spec;
      }),
    };
  });
}

function readSpec(weight: Json, where: string, { maxTensorElements }: { maxTensorElements: number }): WeightSpec {
  const name = text(at(weight, 'name'));
  const dims = numbers(at(weight, 'shape'));
  const type = text(at(weight, 'dtype'));
  if (name === null || dims?.every((d) => Number.isInteger(d) && d >= 0) !== true)
    throw badModel(`${where} needs a name and a shape`, where);
  if (!isType(type, 'float32', 'int32', 'bool')) {
    throw badModel(
      `weight ${name} is ${type ?? 'of no dtype'}: float32, int32 and bool are read; make the model without it`,
      where,
    );
  }
  const count = dims.reduce((a, b) => a * b, 1);
  if (!(count <= maxTensorElements)) {
    const detail = `weight ${name} of shape [${dims.join(', ')}] has more than ${String(maxTensorElements)} elements (MAX_TENSOR_ELEMENTS)`;
    throw new InputError('limit_exceeded', detail, { faults: [{ pointer: `#model/${where}`, detail }] });
  }
  const quantization = at(weight, 'quantization');
  if (quantization === undefined || quantization === null)
    return { name, dims, type, quantization: null, bytes: count * BYTES[type] };
  const stored = text(at(quantization, 'dtype'));
  if (!isType(stored, 'uint8', 'uint16', 'float16') || type === 'bool')
    throw badModel(`weight ${name} is quantized to ${stored ?? 'nothing'}: uint8, uint16 and float16 are read`, where);
  const scale = number(at(quantization, 'scale')) ?? (stored === 'float16' ? 1 : Number.NaN);
  const min = number(at(quantization, 'min')) ?? (stored === 'float16' ? 0 : Number.NaN);
  if (!Number.isFinite(scale) || !Number.isFinite(min))
    throw badModel(`weight ${name} is quantized without scale and min`, where);
  return { name, dims, type, quantization: { type: stored, scale, min }, bytes: count * BYTES[stored] };
}

/** The weights of one group out of its shards, put together. */
export function decodeGroup({ paths, weights }: WeightGroup, bytes: Buffer): Map<string, StoredTensor> {
  const wanted = weights.reduce((sum, weight) => sum + weight.bytes, 0);
  if (bytes.length < wanted) {
    throw badModel(
      `the shards ${paths.join(', ')} have ${String(bytes.length)} bytes; their weights take ${String(wanted)}: send them whole`,
      'weightsManifest',
    );
  }
  const found = new Map<string, StoredTensor>();
  let offset = 0;
  for (const weight of weights) {
    // A copy: it starts where its elements are aligned, and the shards can go.
    const own = Uint8Array.from(bytes.subarray(offset, offset + weight.bytes)).buffer;
    const { dims, type, quantization } = weight;
    const reduced = quantization === null ? {} : { reduced: true };
    found.set(weight.name, { dims, type, data: decode(weight, own), ...reduced });
    offset += weight.bytes;
  }
  return found;
}

function decode({ type, quantization }: WeightSpec, bytes: ArrayBuffer): StoredTensor['data'] {
  if (quantization === null) {
    if (type === 'float32') return new Float32Array(bytes);
    return type === 'int32' ? new Int32Array(bytes) : new Uint8Array(bytes);
  }
  const { type: stored, scale, min } = quantization;
  if (stored === 'float16') {
    const halves = new Uint16Array(bytes);
    return type === 'int32' ? Int32Array.from(halves, halfToFloat) : Float32Array.from(halves, halfToFloat);
  }
  const steps = stored === 'uint8' ? new Uint8Array(bytes) : new Uint16Array(bytes);
  return type === 'int32'
    ? Int32Array.from(steps, (v) => Math.round(v * scale + min))
    : Float32Array.from(steps, (v) => v * scale + min);
}
