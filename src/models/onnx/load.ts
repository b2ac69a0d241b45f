import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { InputError, type Fault } from '../../errors/index.js';
import { isJunk, type Archive } from '../../datasets/archive.js';
import { otherFormat, otherZip } from '../../datasets/other-formats.js';
import { decodeModel } from '../ir/codec.js';
import { detached, spillWeights } from '../ir/external-data.js';
import { allTensors } from '../graph/graph-index.js';
import { inlineFunctions } from './inline-functions.js';
import { int64ToNumber, type GraphProto, type ModelProto } from '../ir/messages.js';
import { isDefaultDomain, type Model } from '../ir/model.js';
import { checkNormalizations } from './normalizations.js';
import type { LoadOptions, ModelFile, ModelLimits } from '../format-files.js';
import { preflight } from './preflight.js';
import { toSinglePrecision } from './single-precision.js';
import { byteSize, externalReference } from '../ir/tensors.js';
import { checkGraph, checkOpset } from '../graph/validate.js';

/** Protobuf messages end at 2 GiB, and so does one read call. */
const PROTOBUF_MAX_BYTES = 2 ** 31 - 1;

/**
 * The newest IR version that the installed ONNX Runtime takes. The onnx package stamps models with its own newest,
 * whatever they use; the operator set is what decides, so a newer stamp is lowered rather than refused.
 */
const IR_MAX = 13;

const fail = (detail: string, fault: Fault = { pointer: '#model', detail }): InputError =>
  new InputError('invalid_model', detail, { faults: [fault] });

/**
 * Reads and checks one .onnx file with everything in it.
 * @throws {InputError} for everything that is wrong with the file
 */
export async function loadSingle({ path }: ModelFile, options: LoadOptions): Promise<Model> {
  const proto = await readProto(path, options.limits);
  for (const { tensor, owner } of allTensors(proto.graph)) {
    const external = externalReference(tensor);
    if (external === null) continue;
    throw fail(
      `${owner} has its data in another file (${external.location}): send a zip of the .onnx file and its external data`,
      { pointer: `#model/${owner.replace(' ', '/')}`, detail: 'external data is missing' },
    );
  }
  const model = check(proto, { format: 'onnx', directory: null, filename: basename(path) }, options);
  return onDisk(model, options.directory);
}

/** Large weights stay out of memory; what came in one piece with them goes too. */
async function onDisk(model: Model, directory: string): Promise<Model> {
  const spilled = await spillWeights(model, directory);
  return spilled === model ? model : detached(spilled);
}

/**
 * Reads and checks a zip of one .onnx file and its external data.
 * @throws {InputError} for everything that is wrong with the file
 */
export async function loadArchive({ archive }: ModelFile, options: LoadOptions): Promise<Model> {
  const { limits, signal } = options;
  if (archive === null) throw new RangeError('not a zip');
  // One of its own for every load: the same model may be loaded twice in one place.
  const directory = await mkdtemp(join(options.directory, 'model-'));
  try {
    const models = [...archive.entries.keys()].filter((name) => name.toLowerCase().endsWith('.onnx') && !isJunk(name));
    const [name] = models;
    const other = name === undefined ? otherZip(archive.entries.keys(), 'model') : null;
    if (other !== null) throw fail(other);
    if (name === undefined || models.length > 1) {
      throw new InputError('invalid_archive', `the archive must have one .onnx file; it has ${String(models.length)}`, {
        faults: [{ pointer: '#archive', detail: models.length > 1 ? models.slice(0, 5).join(', ') : 'no .onnx file' }],
      });
    }
    const folder = name.slice(0, name.lastIndexOf('/') + 1);
    const filename = name.slice(folder.length);
    await archive.extractAll([name], directory, signal);
    const proto = await readProto(join(directory, filename), limits);
    const locations = checkLocations(proto.graph, folder, archive, filename);
    for (const location of locations) {
      await archive.extractAll([folder + location], directory, signal);
    }
    await checkRanges(proto.graph, directory);
    const own = locations.size === 0 ? null : directory;
    return await onDisk(check(proto, { format: 'onnx_zip', directory: own, filename }, options), directory);
  } catch (error) {
    await rm(directory, { recursive: true, force: true });
    throw error;
  }
}

/** External data has a history of path traversal: only the plain name of a file beside the model is taken. */
function checkLocations(graph: GraphProto, folder: string, archive: Archive, filename: string): Set<string> {
  const locations = new Set<string>();
  const initializers = new Set(graph.initializer);
  for (const { tensor, owner } of allTensors(graph)) {
    const external = externalReference(tensor);
    if (external === null) continue;
    const { location } = external;
    const pointer = `#model/${owner.replace(' ', '/')}`;
    if (!initializers.has(tensor)) {
      const detail = `${owner} keeps external data outside the graph's initializers, which is not supported`;
      throw fail(detail, { pointer, detail });
    }
    if (!/^[^/\\:\0]{1,255}$/.test(location) || location === '.' || location === '..' || location === filename) {
      const detail = `${owner} has external data at ${JSON.stringify(location)}: only a plain file name inside the archive is allowed`;
      throw fail(detail, { pointer, detail });
    }
    if (!archive.entries.has(folder + location)) {
      const detail = `${owner} has external data in ${location}, which is not in the archive`;
      throw fail(detail, { pointer, detail });
    }
    locations.add(location);
  }
  return locations;
}

async function checkRanges(graph: GraphProto, directory: string): Promise<void> {
  const sizes = new Map<string, number>();
  for (const { tensor, owner } of allTensors(graph)) {
    const external = externalReference(tensor);
    if (external === null) continue;
    const { location, offset, length } = external;
    const size = sizes.get(location) ?? (await stat(join(directory, location))).size;
    sizes.set(location, size);
    if (!(length === byteSize(tensor)) || !(offset + length <= size)) {
      const detail = `${owner} takes bytes ${String(offset)} to ${String(offset + length)} of ${location} (${String(size)} bytes) for ${String(byteSize(tensor))} bytes of data`;
      throw fail(detail, { pointer: `#model/${owner.replace(' ', '/')}`, detail });
    }
  }
}

async function readProto(path: string, limits: ModelLimits): Promise<ModelProto & { graph: GraphProto }> {
  const { size } = await stat(path);
  if (size > limits.maxModelBytes) {
    throw new InputError(
      'limit_exceeded',
      `the model has ${String(size)} bytes; MAX_MODEL_BYTES is ${String(limits.maxModelBytes)}`,
    );
  }
  if (size > PROTOBUF_MAX_BYTES)
    throw fail('an .onnx file cannot exceed 2 GiB: keep its weights as external data and send a zip');
  let proto: ModelProto;
  try {
    const bytes = await readFile(path);
    preflight(bytes, limits.maxGraphNodes);
    proto = decodeModel(bytes);
  } catch (error) {
    if (error instanceof InputError) throw error;
    if (error instanceof Error && 'syscall' in error) throw error;
    throw fail(
      (await otherFormat(path, 'model')) ??
        `not a complete ONNX file: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
  // Any bytes may happen to decode; an ONNX file has a version, an operator set and a graph.
  const { graph } = proto;
  if (!(int64ToNumber(proto.irVersion) > 0) || graph == null || proto.opsetImport.length === 0) {
    throw fail((await otherFormat(path, 'model')) ?? 'not an ONNX file: it has no graph, IR version or operator set');
  }
  return inlineFunctions(Object.assign(proto, { graph }), limits);
}

function check(
  proto: ModelProto & { graph: GraphProto },
  source: Pick<Model, 'format' | 'directory' | 'filename'>,
  options: LoadOptions,
): Model {
  const imported = proto.opsetImport.find(({ domain }) => isDefaultDomain(domain));
  const opset = int64ToNumber(imported?.version);
  checkOpset(opset);
  if (int64ToNumber(proto.irVersion) > IR_MAX) proto.irVersion = IR_MAX;
  proto.graph.node = checkGraph(proto.graph, source.directory, options.limits);
  checkNormalizations(proto.graph, source.directory);
  return toSinglePrecision({ proto, graph: proto.graph, opset, ...source });
}
