import type { TSchema } from 'typebox';
import Value from 'typebox/value';
import type { Fault } from '../errors/index.js';

/** The parts of a JSON schema that decide where to look for a fault. */
interface Node {
  type?: string;
  const?: unknown;
  anyOf?: TSchema[];
  properties?: Record<string, TSchema>;
  required?: string[];
  additionalProperties?: unknown;
  patternProperties?: Record<string, TSchema>;
  items?: TSchema;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const escape = (key: string) => key.replaceAll('~', '~0').replaceAll('/', '~1');
const quoted = (names: string[]) => names.map((name) => `"${name}"`).join(', ');

/** A plain boolean: as a type guard it would narrow `unknown` to nothing. */
const fits = (schema: TSchema, value: unknown): boolean => Value.Check(schema, value);

/**
 * Every fault of `value`, each with a JSON pointer below `pointer`: one precise sentence a fault, no echo from every
 * branch of a union.
 */
export function schemaFaults(schema: TSchema, value: unknown, pointer = ''): Fault[] {
  if (fits(schema, value)) return [];
  const node = schema as Node;
  if (node.anyOf !== undefined) return unionFaults(node.anyOf, value, pointer);
  if (node.type === 'object' && isObject(value)) return objectFaults(schema, node, value, pointer);
  if (node.type === 'array' && Array.isArray(value) && node.items !== undefined) {
    const { items } = node;
    const inside = value.flatMap((item, i) => schemaFaults(items, item, `${pointer}/${i}`));
    if (inside.length > 0) return inside;
  }
  return [ownFault(schema, value, pointer)];
}

function ownFault(schema: TSchema, value: unknown, pointer: string): Fault {
  const node = schema as Node;
  if (value === undefined) return { pointer, detail: 'is required' };
  if (node.const !== undefined) return { pointer, detail: `must be ${JSON.stringify(node.const)}` };
  const detail = Value.Errors(schema, value).find((error) => error.instancePath === '')?.message;
  return { pointer, detail: detail ?? 'is not valid' };
}

function objectFaults(schema: TSchema, node: Node, value: Record<string, unknown>, pointer: string): Fault[] {
  const properties = node.properties ?? {};
  const faults: Fault[] = [];
  for (const name of node.required ?? []) {
    if (!Object.hasOwn(value, name)) faults.push({ pointer: `${pointer}/${escape(name)}`, detail: 'is required' });
  }
  for (const [name, item] of Object.entries(value)) {
    const at = `${pointer}/${escape(name)}`;
    const known = Object.hasOwn(properties, name) ? properties[name] : undefined;
    const matching = Object.entries(node.patternProperties ?? {}).filter(([pattern]) => new RegExp(pattern).test(name));
    if (known !== undefined) faults.push(...schemaFaults(known, item, at));
    else if (matching.length > 0) faults.push(...matching.flatMap(([, part]) => schemaFaults(part, item, at)));
    else if (node.patternProperties !== undefined && Object.keys(properties).length === 0) {
      faults.push({ pointer: at, detail: `the name must match ${Object.keys(node.patternProperties).join(' or ')}` });
    } else if (node.additionalProperties === false) {
      faults.push({ pointer: at, detail: `is not a known field; known are ${quoted(Object.keys(properties))}` });
    }
  }
  return faults.length > 0 ? faults : [ownFault(schema, value, pointer)];
}

function unionFaults(branches: TSchema[], value: unknown, pointer: string): Fault[] {
  if (value === undefined) return [{ pointer, detail: 'is required' }];
  const nodes = branches.map((branch) => branch as Node);
  if (nodes.every((node) => node.const !== undefined)) {
    return [{ pointer, detail: `must be one of ${nodes.map((node) => JSON.stringify(node.const)).join(', ')}` }];
  }
  const nullable = nodes.some((node) => node.type === 'null');
  const open = branches.filter((_, i) => nodes[i]?.type !== 'null');
  const [only] = open;
  if (open.length === 1 && only !== undefined) return orNull(schemaFaults(only, value, pointer), pointer, nullable);
  return objectChoiceFaults(open, value, pointer);
}

const orNull = (faults: Fault[], pointer: string, nullable: boolean): Fault[] =>
  faults.map((fault) =>
    nullable && fault.pointer === pointer ? { pointer, detail: `${fault.detail}, or null` } : fault,
  );

/** A union of objects: the fields that are there tell which one was meant. */
function objectChoiceFaults(branches: TSchema[], value: unknown, pointer: string): Fault[] {
  const fields = branches.map((branch) => Object.keys((branch as Node).properties ?? {}));
  const choices = fields.map((names) => `{${quoted(names)}}`).join(' or ');
  const sentence = fields.every((names) => names.length === 1)
    ? `must have exactly one of ${quoted(fields.flat())}`
    : `must be ${choices}`;
  if (!isObject(value)) return [{ pointer, detail: `${sentence} (an object)` }];
  const meant = branches.filter((_, i) => fields[i]?.some((name) => Object.hasOwn(value, name)));
  const [one] = meant;
  if (meant.length === 1 && one !== undefined) return schemaFaults(one, value, pointer);
  const given = Object.keys(value);
  return [{ pointer, detail: `${sentence}; ${given.length === 0 ? 'it has none' : `given: ${quoted(given)}`}` }];
}
