import protobuf from 'protobufjs';
import { InputError } from '../../errors/index.js';

/**
 * A walk over the bytes of a model before it is decoded: decoding makes objects of up to a hundred times the size of a
 * tiny message, so a hostile file could exhaust the memory before its graph can be counted.
 */

/** The graph itself, without the data of its tensors; the largest exports seen take a few MB for 10,000 nodes. */
const MAX_STRUCTURE_BYTES = 64 * 2 ** 20;

const LENGTH_DELIMITED = 2;
/** Fields of the messages that hold tensors, and which message they hold. */
const CHILDREN: Record<string, Record<number, string>> = {
  model: { 7: 'graph', 25: 'function' },
  function: { 7: 'node', 11: 'attribute' },
  graph: { 1: 'node', 5: 'tensor' },
  node: { 5: 'attribute' },
  attribute: { 5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph' },
};
/** Data fields of TensorProto: decoded without copying. */
const TENSOR_DATA = new Set([4, 5, 7, 9, 10, 11]);

/** @throws {InputError} 'limit_exceeded', or what the reader throws on bytes that are no message */
export function preflight(bytes: Buffer, maxGraphNodes: number): void {
  const reader = protobuf.Reader.create(bytes);
  let nodes = 0;
  let structure = 0;
  const walk = (message: string, end: number, depth: number): void => {
    if (depth > 100) throw new RangeError('nested too deeply');
    while (reader.pos < end) {
      const start = reader.pos;
      const tag = reader.uint32();
      const field = tag >>> 3;
      const child = CHILDREN[message]?.[field];
      if ((tag & 7) !== LENGTH_DELIMITED) {
        reader.skipType(tag & 7);
      } else {
        const length = reader.uint32();
        const stop = reader.pos + length;
        if (stop > end) throw new RangeError(`index out of range: ${String(stop)} > ${String(end)}`);
        if (child !== undefined) {
          if (child === 'node' && ++nodes > maxGraphNodes) {
            throw tooMuch(`the graph has more than ${String(maxGraphNodes)} nodes (MAX_GRAPH_NODES)`);
          }
          structure += reader.pos - start;
          walk(child, stop, depth + 1);
          continue;
        }
        reader.pos = stop;
        if (message === 'tensor' && TENSOR_DATA.has(field)) continue;
      }
      structure += reader.pos - start;
      if (structure > MAX_STRUCTURE_BYTES) {
        throw tooMuch(`the graph without its weights takes more than ${String(MAX_STRUCTURE_BYTES)} bytes`);
      }
    }
  };
  walk('model', bytes.length, 0);
}

function tooMuch(detail: string): InputError {
  return new InputError('limit_exceeded', detail, { faults: [{ pointer: '#model/graph', detail }] });
}
