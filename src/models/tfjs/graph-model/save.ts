import type { Model } from '../../ir/model.js';
import { realInputs } from '../../ir/model.js';
import { at } from '../io/json.js';
import { cameReduced, GraphOrigin } from '../origin.js';
import { writeZip } from '../write/files.js';
import { Walker } from '../write/walker.js';
import { writeNetwork } from '../write/write.js';
import { GraphTarget } from './target.js';

/** Writes a graph-model: the inputs, outputs and signature of the one that came in. */
export async function saveGraph(model: Model, path: string): Promise<void> {
  const origin = model.origin instanceof GraphOrigin ? model.origin : null;
  const names = [...realInputs(model.graph), ...model.graph.output].map(({ name }) => name);
  const target = new GraphTarget(names);
  writeNetwork(new Walker(model, target));
  const kept = origin === null ? undefined : at(origin.json, 'userDefinedMetadata');
  const own = origin === null ? undefined : at(origin.json, 'signature');
  const json = {
    format: 'graph-model',
    generatedBy: (origin === null ? undefined : at(origin.json, 'generatedBy')) ?? 'sparank',
    convertedBy: 'sparank',
    ...(kept === undefined ? {} : { userDefinedMetadata: kept }),
    ...(own !== undefined || kept === undefined ? { signature: own ?? target.ports } : {}),
    modelTopology: { node: target.nodes, library: {}, versions: { producer: 1087 } },
  };
  const filename = model.filename.endsWith('.json') ? model.filename : 'model.json';
  await writeZip(path, filename, { json, weights: target.weights, halves: cameReduced(model) });
}
