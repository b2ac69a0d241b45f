import { totalmem } from 'node:os';
import { InputError, OwnFaultError } from '../../errors/index.js';
import type { Model } from '../ir/model.js';

/** What the runtime says when this machine has not enough memory or disk. */
const NO_ROOM =
  /std::bad_alloc|bad allocation|Failed to allocate memory|Cannot allocate memory|out of memory|No space left on device/i;
const WANTED = /requested buffer of size (\d+)/i;
const OF_MACHINE = new RegExp(`${NO_ROOM.source}|${WANTED.source}`, 'i');
/** Attributes with longer texts are not quoted by the runtime; the data of tensors is not looked through. */
const MOST_BYTES = 4096;
/** Of the runtime's message, in ours. */
const SHOWN = 500;

const inOneLine = (text: string): string => text.replace(/\s+/g, ' ');

function* texts(value: unknown): Generator<string> {
  if (typeof value === 'string') yield value;
  else if (value instanceof Uint8Array) {
    if (value.length <= MOST_BYTES) yield Buffer.from(value).toString('utf8');
  } else if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value) as unknown[]) yield* texts(inner);
  }
}

/**
 * The names and texts of a model that read like what the runtime says of this machine, the longest first. The runtime
 * quotes them, in many ways: a node called `out of memory` would take the workers that run it out of service.
 */
export function misleadingTexts({ graph }: Pick<Model, 'graph'>): string[] {
  const found = new Set<string>();
  for (const text of texts(graph)) {
    const line = inOneLine(text);
    if (OF_MACHINE.test(line)) found.add(line);
  }
  return [...found].sort((a, b) => b.length - a.length);
}

/**
 * What the runtime refused, as the fault of the model, or of this machine.
 *
 * @param misleading texts of the model that are not the runtime's own words
 */
export function runtimeError(error: unknown, what: string, misleading: readonly string[]): Error {
  const said = inOneLine(error instanceof Error ? error.message : String(error));
  const text = said
    // Where in the runtime's sources, and where on our disk, is nobody's business.
    .replace(/\/onnxruntime_src\/\S+ (?:[\w:<>&*]+ )?onnxruntime::[\w:~]+\(.*?\) /g, '')
    .replace(/\/onnxruntime_src\/\S+ /g, '')
    .replace(/Load model from \S+ failed:/, '')
    .slice(0, SHOWN);
  const own = misleading.reduce((rest, one) => rest.replaceAll(one, '…'), said);
  const wanted = Number(WANTED.exec(own)?.[1] ?? 0);
  if (wanted > totalmem())
    return badModel(`${what}: one of its tensors takes ${String(wanted)} bytes of memory`, error);
  if (NO_ROOM.test(own)) return new OwnFaultError('compute_failed', `${what}: ${text}`, { cause: error });
  return badModel(`${what}: ${text}`, error);
}

export function badModel(detail: string, cause?: unknown): InputError {
  return new InputError('invalid_model', detail, { faults: [{ pointer: '#model', detail }], cause });
}
