import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { ZipFile } from 'yazl';
import { InputError } from '../../errors/index.js';
import { withClientTypes } from './client-types.js';
import { encodeModel } from '../ir/codec.js';
import { ExternalDataFile } from '../ir/external-data.js';
import { EXTERNAL, withFields, type TensorProto } from '../ir/messages.js';
import type { Model } from '../ir/model.js';
import { byteSize, tensorBytes } from '../ir/tensors.js';

/** Smaller tensors stay in the .onnx file, as PyTorch's exporter does it. */
const EXTERNAL_MIN_BYTES = 1024;
/** Below the protobuf limit of 2 GiB, with room for the graph. */
const SINGLE_FILE_MAX_BYTES = 2 ** 31 - 2 ** 24;

/** A fixed time, so that the same model gives the same bytes. */
const EPOCH = new Date(Date.UTC(1980, 0, 1));

/** Writes one self-contained .onnx file; possible up to 2 GiB. */
export async function saveSingle(given: Model, path: string): Promise<void> {
  const model = withClientTypes(given);
  const bytes = model.graph.initializer.reduce((sum, tensor) => sum + byteSize(tensor), 0);
  if (bytes > SINGLE_FILE_MAX_BYTES) {
    throw new InputError(
      'limit_exceeded',
      'the model does not fit a single .onnx file of 2 GiB: send it as a zip with external data',
    );
  }
  const initializer = model.graph.initializer.map((tensor) => inline(tensor, model.directory));
  await writeFile(path, encodeModel(withFields(model.proto, { graph: withFields(model.graph, { initializer }) })));
}

function inline(tensor: TensorProto, directory: string | null): TensorProto {
  if (tensor.dataLocation !== EXTERNAL) return tensor;
  const { externalData: _, dataLocation: __, ...rest } = tensor;
  return { ...rest, rawData: tensorBytes(tensor, directory) };
}

/** Writes a zip of an .onnx file and its external data. */
export async function saveZip(given: Model, path: string): Promise<void> {
  const model = withClientTypes(given);
  const scratch = await mkdtemp(join(dirname(path), '.save-'));
  try {
    const location = `${model.filename}.data`;
    const data = join(scratch, location);
    const initializer = await writeExternal(model, data, location);
    const proto = withFields(model.proto, { graph: withFields(model.graph, { initializer }) });
    const zip = new ZipFile();
    const options = { compress: false, mtime: EPOCH, mode: 0o100644 };
    zip.addBuffer(Buffer.from(encodeModel(proto)), model.filename, options);
    if (initializer.some((t) => t.dataLocation === EXTERNAL)) {
      zip.addReadStreamLazy(location, options, (done) => {
        done(null, createReadStream(data));
      });
    }
    zip.end();
    await pipeline(zip.outputStream, createWriteStream(path));
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Writes the large tensors to one file, one at a time; returns the initializers that refer to it. */
async function writeExternal(model: Model, path: string, location: string): Promise<TensorProto[]> {
  const file = await ExternalDataFile.create(path, location);
  try {
    const result: TensorProto[] = [];
    for (const tensor of model.graph.initializer) {
      const small = byteSize(tensor) < EXTERNAL_MIN_BYTES;
      result.push(
        small ? inline(tensor, model.directory) : await file.add(tensor, tensorBytes(tensor, model.directory)),
      );
    }
    return result;
  } finally {
    await file.close();
  }
}
