import { InputError } from './index.js';

/**
 * What PostgreSQL, and every reader of JSON, can keep: text without U+0000 and without halves of surrogate pairs,
 * nested within reason.
 */

/** Deeper than anything that is asked for, and far from where recursion over a value ends. */
const MAX_DEPTH = 64;
/** Characters. A name of a model may be as long as its file; nobody reads more than this of it. */
const MAX_TEXT = 1000;
/** Of a text that is too long: the reason stands at the end of most messages. */
const TAIL = 200;

/**
 * Refuses what cannot be kept in what a client says, and nesting that would exhaust the stack of whoever walks through
 * the value later; in bodies also the name `__proto__`, which an assignment would take for something else.
 *
 * @param value parsed JSON, or parameters of a path or query
 * @param prefix of the pointer in the fault: '' for a body
 * @throws {InputError} invalid_request
 */
export function checkStorable(value: unknown, prefix = ''): void {
  // Its own stack: the value may be nested deeper than calls can be.
  const open: { value: unknown; pointer: string; depth: number }[] = [{ value, pointer: prefix, depth: 0 }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { value: at, pointer, depth } = next;
    if (typeof at === 'string') checkText(at, pointer);
    if (typeof at !== 'object' || at === null) continue;
    if (depth === MAX_DEPTH) throw fault(pointer, `is nested deeper than ${String(MAX_DEPTH)} levels`);
    for (const [name, inner] of Object.entries(at) as [string, unknown][]) {
      checkText(name, pointer);
      if (name === '__proto__' && prefix === '') throw fault(`${pointer}/__proto__`, 'is not taken as a name');
      open.push({ value: inner, pointer: `${pointer}/${escaped(name)}`, depth: depth + 1 });
    }
  }
}

/**
 * The same value with every text in it made fit to keep: U+FFFD in place of what cannot be stored, and the middle of
 * what is too long left out. For all that comes out of a client's files: their names are whatever somebody wrote.
 */
export function storable<T>(value: T): T {
  return fit(value, 0) as T;
}

export function storableText(text: string): string {
  const short = text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT - TAIL - 1)}…${text.slice(-TAIL)}`;
  return short.replaceAll('\0', '\uFFFD').toWellFormed();
}

function fit(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return storableText(value);
  if (typeof value !== 'object' || value === null) return value;
  // Values of our own making: deeper ones would be a bug.
  if (depth === MAX_DEPTH) throw new TypeError(`a result is nested deeper than ${String(MAX_DEPTH)} levels`);
  if (Array.isArray(value)) return value.map((inner: unknown) => fit(inner, depth + 1));
  if (Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [storableText(name), fit(inner, depth + 1)]));
}

function checkText(text: string, pointer: string): void {
  if (text.includes('\0')) throw fault(pointer, 'contains the character U+0000');
  if (!text.isWellFormed()) throw fault(pointer, 'contains half of a surrogate pair');
}

const escaped = (name: string): string => name.replaceAll('~', '~0').replaceAll('/', '~1');

const fault = (pointer: string, detail: string): InputError =>
  new InputError('invalid_request', `${pointer} ${detail}`.trim(), { faults: [{ pointer, detail }] });
