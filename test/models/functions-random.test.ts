import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/compression/linalg/random.js';
import { listLayers, loadModel, prepare, Runner, type Model } from '../../src/models/index.js';
import { makeNode } from '../../src/models/ir/attributes.js';
import type { FunctionProto, ModelProto, NodeProto } from '../../src/models/ir/messages.js';
import { batchOf, LIMITS, proto, scratch, writeProto, type Sketch } from './graphs.js';
import { TOPOLOGIES } from './topologies.js';

const DOMAIN = 'outlined';
/** The name of a standard operator in another domain. */
const NAMES = ['Conv', 'Relu', 'Dropout', 'Identity', 'Part'];

/** `nodes` with a random run of them behind a call, and this again inside the function. */
function outlined(
  nodes: NodeProto[],
  read: ReadonlySet<string>,
  below: (n: number) => number,
  functions: FunctionProto[],
  version: number,
): NodeProto[] {
  if (nodes.length === 0 || functions.length > 4) return nodes;
  const from = below(nodes.length);
  const to = from + 1 + below(nodes.length - from);
  const inside = nodes.slice(from, to);
  const made = new Set(inside.flatMap((n) => n.output).filter((name) => name !== ''));
  const input = [...new Set(inside.flatMap((n) => n.input))].filter((name) => name !== '' && !made.has(name));
  const outside = new Set([...read, ...[...nodes.slice(0, from), ...nodes.slice(to)].flatMap((n) => n.input)]);
  const output = [...made].filter((name) => outside.has(name));
  const own: FunctionProto = {
    name: `${NAMES[functions.length] ?? ''}`,
    ...{ domain: DOMAIN, input, output, node: [] },
    opsetImport: [
      { domain: '', version },
      { domain: DOMAIN, version: 1 },
    ],
  };
  functions.push(own);
  own.node = below(2) === 0 ? inside : outlined(inside, new Set(output), below, functions, version);
  const call = { ...makeNode(own.name, `call${String(functions.length)}`, input, output), domain: DOMAIN };
  return [...nodes.slice(0, from), call, ...nodes.slice(to)];
}

const load = (model: ModelProto): Promise<Model> =>
  loadModel(writeProto(model), { directory: scratch(), limits: LIMITS });

async function outputs(model: Model, sketch: Sketch): Promise<number[][]> {
  const runner = await Runner.open(model, { threads: 1 });
  try {
    const values = await runner.run(batchOf(sketch.input, 2));
    return runner.outputs.map(({ name }) => Array.from(values.get(name)?.data ?? [], Number));
  } finally {
    await runner.release();
  }
}

describe('networks with parts of them in functions', () => {
  it.each(Object.entries(TOPOLOGIES))('compute and count as without: %s', async (_, sketch) => {
    const plain = proto(sketch);
    const version = sketch.opset ?? 17;
    const whole = await load(plain);
    const wanted = await outputs(whole, sketch);
    const { parameters, macs, layers } = await listLayers(prepare(whole), batchOf(sketch.input, 2), { threads: 1 });
    for (let seed = 1; seed <= 4; seed++) {
      const random = seededRandom(seed);
      const below = (n: number) => Math.floor(random() * n);
      const functions: FunctionProto[] = [];
      const graph = plain.graph;
      if (graph == null) throw new Error('the sketch has a graph');
      const read = new Set(graph.output.map(({ name }) => name));
      const node = outlined(graph.node, read, below, functions, version);
      const opsetImport = [...plain.opsetImport, { domain: DOMAIN, version: 1 }];
      const model = await load({ ...plain, opsetImport, functions, graph: { ...graph, node } });
      expect(await outputs(model, sketch)).toEqual(wanted);
      const listed = await listLayers(prepare(model), batchOf(sketch.input, 2), { threads: 1 });
      expect([listed.parameters, listed.macs, listed.layers.length]).toEqual([parameters, macs, layers.length]);
      expect(listed.layers.map(({ blocked }) => blocked !== null)).toEqual(
        layers.map(({ blocked }) => blocked !== null),
      );
    }
  });
});
