import { stat } from 'node:fs/promises';
import { Archive, isZip } from '../datasets/archive.js';
import { InputError } from '../errors/index.js';
import { modelFormats, type ModelFormatName } from './formats/index.js';
import type { FormatFiles, LoadOptions, ModelFile, ModelLimits } from './format-files.js';
import type { Model } from './ir/model.js';
import { onnx, onnxZip } from './onnx/index.js';
import { tfjsGraph, tfjsLayers } from './tfjs/index.js';

export const FORMAT_FILES: Readonly<Record<ModelFormatName, FormatFiles>> = {
  onnx,
  tfjs_layers: tfjsLayers,
  tfjs_graph: tfjsGraph,
  onnx_zip: onnxZip,
};

/**
 * Reads and checks a model in any format there is.
 * @throws {InputError} for everything that is wrong with the file
 */
export async function loadModel(path: string, options: LoadOptions): Promise<Model> {
  const file = await openFile(path, options.limits).catch(blameModel);
  try {
    const known = modelFormats.find((name) => FORMAT_FILES[name].recognizes(file));
    return await FORMAT_FILES[known ?? 'onnx'].load(file, options).catch(blameModel);
  } finally {
    file.archive?.close();
  }
}

/** The same network, to be written in another format. */
export const inFormat = (model: Model, format: ModelFormatName): Model => ({ ...model, format });

/**
 * Writes `model` in its format.
 * @throws {InputError} naming what has no form there
 */
export async function saveModel(model: Model, path: string): Promise<void> {
  await FORMAT_FILES[model.format].save(model, path);
}

async function openFile(path: string, limits: ModelLimits): Promise<ModelFile> {
  if ((await stat(path)).size === 0) {
    const detail = 'the model file is empty';
    throw new InputError('invalid_model', detail, { faults: [{ pointer: '#model', detail }] });
  }
  const archive = (await isZip(path)) ? await Archive.open(path, { ...limits, maxBytes: limits.maxModelBytes }) : null;
  return { path, archive };
}

/** The client knows the archive as its model. */
function blameModel(error: unknown): never {
  if (!(error instanceof InputError)) throw error;
  const faults = error.faults.map(({ pointer, detail }) => ({
    pointer: pointer.replace(/^#archive/, '#model'),
    detail,
  }));
  const layer = error.layer === undefined ? {} : { layer: error.layer };
  throw new InputError(error.code, error.message, { faults, ...layer, cause: error });
}
