import { spillWeights } from '../ir/external-data.js';
import type { GraphProto } from '../ir/messages.js';
import type { Model } from '../ir/model.js';
import { checkGraph } from '../graph/validate.js';
import type { LoadOptions, ModelFile } from '../format-files.js';
import { GraphBuilder, OPSET } from './build/graph-builder.js';
import { readGraph } from './graph-model/read.js';
import { at, badModel, list } from './io/json.js';
import { readFiles } from './io/read.js';
import { readLayers } from './layers-model/read.js';
import { GraphOrigin, LayersOrigin } from './origin.js';

/** The IR version that came with the operator set. */
const IR_VERSION = 8;

/**
 * Reads a zip of model.json and its shards: a graph-model or a layers-model.
 * @throws {InputError} for everything that is wrong with the files
 */
export async function load({ archive }: ModelFile, options: LoadOptions): Promise<Model> {
  if (archive === null) throw new RangeError('not a zip');
  const files = await readFiles(archive, options);
  const topology = at(files.json, 'modelTopology');
  if (topology === undefined || topology === null)
    throw badModel('model.json holds weights without a network (modelTopology)');
  const b = new GraphBuilder(options.limits);
  const isGraph = list(at(topology, 'node')) !== null;
  const origin = isGraph
    ? new GraphOrigin(files.json, files.weights)
    : new LayersOrigin(files.json, readLayers(b, files), files.weights);
  if (isGraph) readGraph(b, files);
  const graph: GraphProto = {
    name: 'tfjs',
    ...{ node: b.nodes, initializer: b.initializers, input: b.inputs, output: b.outputs, valueInfo: [] },
  };
  graph.node = checkGraph(graph, null, options.limits);
  const proto = {
    irVersion: IR_VERSION,
    opsetImport: [{ domain: '', version: OPSET }],
    producerName: 'sparank',
    graph,
  };
  const format = isGraph ? 'tfjs_graph' : 'tfjs_layers';
  const model: Model = { proto, graph, opset: OPSET, format, directory: null, filename: files.filename, origin };
  return spillWeights(model, options.directory);
}
