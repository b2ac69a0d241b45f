import { InputError } from '../errors/index.js';

/** Deeper than anything that is asked for, and far from where recursion over a value ends. */
const MAX_DEPTH = 64;

/**
 * Refuses text that PostgreSQL cannot keep (NUL, half of a surrogate pair), and nesting that would exhaust the stack of whoever
 * walks through the value later.
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
      open.push({ value: inner, pointer: `${pointer}/${escaped(name)}`, depth: depth + 1 });
    }
  }
}

function checkText(text: string, pointer: string): void {
  if (text.includes('\0')) throw fault(pointer, 'contains the character U+0000');
  if (!text.isWellFormed()) throw fault(pointer, 'contains half of a surrogate pair');
}

const escaped = (name: string): string => name.replaceAll('~', '~0').replaceAll('/', '~1');

const fault = (pointer: string, detail: string): InputError =>
  new InputError('invalid_request', `${pointer} ${detail}`.trim(), { faults: [{ pointer, detail }] });
