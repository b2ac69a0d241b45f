import { randomUUID } from 'node:crypto';
import { mkdtemp, open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeModel, encodeModel } from './codec.js';
import { EXTERNAL, withFields, type TensorProto } from './messages.js';
import type { Model } from './model.js';
import { byteSize, tensorBytes } from './tensors.js';

/** Offsets of external data are aligned to a page so that runtimes may map the file. */
const ALIGNMENT = 4096;
/** One write call takes at most 2 GiB. */
const WRITE_BYTES = 1 << 30;
/** Smaller tensors stay in memory: they cost less than a mapping. */
const SPILLED_MIN_BYTES = 1 << 20;

/** Writes the data of tensors to one file, one after the other. */
export class ExternalDataFile {
  private offset = 0;

  private constructor(
    private readonly file: FileHandle,
    private readonly location: string,
  ) {}

  /** @param location the file's name as tensors refer to it */
  static async create(path: string, location: string): Promise<ExternalDataFile> {
    return new ExternalDataFile(await open(path, 'w', 0o600), location);
  }

  /** Returns the tensor that refers to the data in the file. `bytes` are its little-endian elements. */
  async add({ name, dims, dataType }: TensorProto, bytes: Uint8Array): Promise<TensorProto> {
    const offset = Math.ceil(this.offset / ALIGNMENT) * ALIGNMENT;
    for (let done = 0; done < bytes.length;) {
      const length = Math.min(bytes.length - done, WRITE_BYTES);
      done += (await this.file.write(bytes, done, length, offset + done)).bytesWritten;
    }
    this.offset = offset + bytes.length;
    const where = { location: this.location, offset, length: bytes.length };
    const externalData = Object.entries(where).map(([key, value]) => ({ key, value: String(value) }));
    return { name, dims, dataType, dataLocation: EXTERNAL, externalData };
  }

  async close(): Promise<void> {
    await this.file.close();
  }
}

/**
 * The same model with the data of its large tensors in a file instead of in memory: the runtime maps the file, so that
 * no part of the network that is opened copies its weights.
 *
 * @param directory an existing directory; the file lies in one of its own in there, unless the model has one already
 */
export async function spillWeights(model: Model, directory: string): Promise<Model> {
  const large = (tensor: TensorProto) => tensor.dataLocation !== EXTERNAL && byteSize(tensor) >= SPILLED_MIN_BYTES;
  if (!model.graph.initializer.some(large)) return model;
  const into = model.directory ?? (await mkdtemp(join(directory, 'weights-')));
  const location = `${randomUUID()}.weights`;
  const file = await ExternalDataFile.create(join(into, location), location);
  const initializer: TensorProto[] = [];
  try {
    for (const tensor of model.graph.initializer) {
      initializer.push(large(tensor) ? await file.add(tensor, tensorBytes(tensor, null)) : tensor);
    }
  } finally {
    await file.close();
  }
  const graph = withFields(model.graph, { initializer });
  return { ...model, graph, proto: withFields(model.proto, { graph }), directory: into };
}

/** The same model on memory of its own: decoded messages are views of the whole file that they came from. */
export function detached(model: Model): Model {
  const proto = decodeModel(Buffer.from(encodeModel(model.proto)));
  if (proto.graph == null) throw new RangeError('the model has no graph');
  return { ...model, proto, graph: proto.graph };
}
