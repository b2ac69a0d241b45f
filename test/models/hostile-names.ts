import { encodeModel } from '../../src/models/ir/codec.js';
import { type GraphProto, type ModelProto, withFields } from '../../src/models/ir/messages.js';

/** What stands in a name that no exporter writes, but a file can hold. */
export const MARKS = { NUL: 'a\0b', 'half a surrogate pair': 'a\ud800b', 'a megabyte': 'n'.repeat(2 ** 20) };

export const PLACES = ['node', 'tensor', 'weight', 'port', 'domain', 'metadata'] as const;
export type Place = (typeof PLACES)[number];

const METADATA_FIELD = 14;

/**
 * The file of a model with `mark` in names of one kind: of its nodes, of tensors between them, of weights, of input and
 * output, ...
 */
export function fileWithMark(model: ModelProto, place: Place, mark: string): Buffer {
  const { graph } = model;
  if (graph == null) throw new TypeError('a model without a graph');
  const marked = (name: string) => `${name}${mark}`;
  switch (place) {
    case 'node': {
      const node = graph.node.map((one) => withFields(one, { name: marked(one.name) }));
      return Buffer.from(encodeModel(withFields(model, { graph: withFields(graph, { node }) })));
    }
    case 'domain': {
      const opsetImport = [...model.opsetImport, { domain: marked('org.example'), version: 1 }];
      return Buffer.from(encodeModel(withFields(model, { opsetImport })));
    }
    case 'metadata': {
      const entry = Buffer.concat([field(1, utf8(marked('key'))), field(2, utf8(marked('value')))]);
      const bytes = encodeModel(withFields(model, { producerName: marked('made by ') }));
      return Buffer.concat([bytes, field(METADATA_FIELD, entry)]);
    }
    default:
      return Buffer.from(encodeModel(withFields(model, { graph: renamed(graph, place, marked) })));
  }
}

/** A field of bytes, as protobuf writes it. */
function field(id: number, bytes: Buffer): Buffer {
  const length: number[] = [];
  let rest = bytes.length;
  for (; rest > 127; rest >>>= 7) length.push((rest & 127) | 128);
  return Buffer.concat([Buffer.from([(id << 3) | 2, ...length, rest]), bytes]);
}

/** Half of a surrogate pair as what writes names without looking writes it: its code point in three bytes. */
const utf8 = (text: string): Buffer =>
  Buffer.concat(
    Array.from(text.isWellFormed() ? [text] : text, (part) => {
      const code = part.charCodeAt(0);
      if (part.isWellFormed()) return Buffer.from(part);
      return Buffer.from([0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63)]);
    }),
  );

function renamed(graph: GraphProto, place: 'tensor' | 'weight' | 'port', marked: (name: string) => string): GraphProto {
  const weights = new Set(graph.initializer.map(({ name }) => name));
  const ports = new Set([...graph.input, ...graph.output].map(({ name }) => name));
  const kindOf = (name: string) => (weights.has(name) ? 'weight' : ports.has(name) ? 'port' : 'tensor');
  const to = (name: string) => (kindOf(name) === place ? marked(name) : name);
  const named = <T extends { name: string }>(items: T[]) =>
    items.map((item) => withFields(item, { name: to(item.name) } as Partial<T>));
  return withFields(graph, {
    node: graph.node.map((node) => withFields(node, { input: node.input.map(to), output: node.output.map(to) })),
    initializer: named(graph.initializer),
    input: named(graph.input),
    output: named(graph.output),
  });
}
