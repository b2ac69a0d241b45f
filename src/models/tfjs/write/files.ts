import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { ZipFile } from 'yazl';
import { FLOAT16_MAX, floatToHalf } from '../../coding/float16.js';
import type { Weights } from './target.js';

/** As the converter of TensorFlow.js cuts them: what browsers keep in their caches. */
const SHARD_BYTES = 4 * 2 ** 20;
/** A fixed time, so that the same model gives the same bytes. */
const OPTIONS = { compress: true, mtime: new Date(Date.UTC(1980, 0, 1)), mode: 0o100644 };

/** Fewer numbers, and lists such as biases, save nothing that is worth their digits. */
const FEWEST_HALVES = 256;

function encode({ type, data, coding }: Weights): { bytes: Buffer; quantization?: object } {
  const view = (array: ArrayBufferView) => Buffer.from(array.buffer, array.byteOffset, array.byteLength);
  if (type !== 'float32') return { bytes: view(data) };
  if (coding?.type === 'float16')
    return {
      bytes: view(Uint16Array.from(data, floatToHalf)),
      quantization: { dtype: 'float16', original_dtype: 'float32' },
    };
  if (coding === null) return { bytes: view(data) };
  const { scale, min } = coding;
  const steps = Uint8Array.from(data, (v) => Math.max(0, Math.min(255, Math.round((v - min) / scale))));
  return { bytes: view(steps), quantization: { dtype: 'uint8', scale, min, original_dtype: 'float32' } };
}

/** With 16 bits for every number, unless something else is said of them. */
function halved(tensor: Weights): Weights {
  const { type, dims, data, coding } = tensor;
  const fits = () => data.every((value) => Math.abs(value) <= FLOAT16_MAX);
  return type === 'float32' && coding === null && dims.length > 1 && data.length >= FEWEST_HALVES && fits()
    ? { ...tensor, coding: { type: 'float16' } }
    : tensor;
}

/** Writes model.json and its shards as one zip. @param halves whether weights are float16 where nothing else is said of them */
export async function writeZip(
  path: string,
  filename: string,
  { json, weights, halves }: { json: object; weights: ReadonlyMap<string, Weights>; halves: boolean },
): Promise<void> {
  const specs: object[] = [];
  const parts: Buffer[] = [];
  for (const [name, tensor] of weights) {
    const { bytes, quantization } = encode(halves ? halved(tensor) : tensor);
    specs.push({
      name,
      shape: tensor.dims,
      dtype: tensor.type,
      ...(quantization === undefined ? {} : { quantization }),
    });
    parts.push(bytes);
  }
  const whole = Buffer.concat(parts);
  const count = Math.max(1, Math.ceil(whole.length / SHARD_BYTES));
  const shards = Array.from({ length: count }, (_, i) => ({
    name: `group1-shard${String(i + 1)}of${String(count)}.bin`,
    bytes: whole.subarray(i * SHARD_BYTES, (i + 1) * SHARD_BYTES),
  }));
  const zip = new ZipFile();
  const weightsManifest = [{ paths: shards.map(({ name }) => name), weights: specs }];
  zip.addBuffer(Buffer.from(JSON.stringify({ ...json, weightsManifest })), filename, OPTIONS);
  for (const { name, bytes } of shards) zip.addBuffer(bytes, name, OPTIONS);
  zip.end();
  await pipeline(zip.outputStream, createWriteStream(path));
}
