/** A JSON schema as the document shows it. */
export type Json = Record<string, unknown>;

/** Whether a client sends the value or gets it: what has a default may be left out of what is sent. */
export type Direction = 'sent' | 'answered';

export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const mapValues = (given: unknown, change: (value: unknown) => unknown): Json =>
  Object.fromEntries(Object.entries(isObject(given) ? given : {}).map(([name, value]) => [name, change(value)]));

/**
 * `anyOf` of constants is what everybody else calls an enumeration, and one without a type is none for most generators.
 */
function asEnum(schema: Json): Json {
  const { anyOf, ...rest } = schema;
  const members = Array.isArray(anyOf) ? anyOf.filter(isObject) : [];
  const constants = members.map((member) => member['const']);
  const values: unknown[] | null =
    members.length > 0 && constants.every((value) => value !== undefined)
      ? constants
      : Array.isArray(schema['enum'])
        ? schema['enum']
        : null;
  if (values === null) return schema;
  if (values.every((value) => typeof value === 'string')) return { type: 'string', enum: values, ...without(rest) };
  if (values.every((value) => Number.isInteger(value))) return { type: 'integer', enum: values, ...without(rest) };
  return schema;
}

const without = ({ type: _type, enum: _enum, ...rest }: Json): Json => rest;

/** A record, in the words that generators read; the same values are valid. */
function asRecord(schema: Json): Json {
  const { patternProperties, properties, additionalProperties, ...rest } = schema;
  const [entry, ...more] = Object.entries(isObject(patternProperties) ? patternProperties : {});
  const closed = additionalProperties === undefined || additionalProperties === false || isNever(additionalProperties);
  if (entry === undefined || more.length > 0 || properties !== undefined || !closed) return schema;
  const [pattern, value] = entry;
  const anyName = pattern === '^.*$' || pattern === '^(.*)$';
  return { ...rest, additionalProperties: value, ...(anyName ? {} : { propertyNames: { pattern } }) };
}

const isNever = (value: unknown): boolean =>
  isObject(value) && isObject(value['not']) && Object.keys(value['not']).length === 0;

/** What has a default may be missing. */
function withoutDefaulted(schema: Json): Json {
  const { required, ...rest } = schema;
  const properties = isObject(schema['properties']) ? schema['properties'] : {};
  if (!Array.isArray(required)) return schema;
  const left = required.filter((name: string) => {
    const property = properties[name];
    return !isObject(property) || property['default'] === undefined;
  });
  return left.length === 0 ? rest : { ...rest, required: left };
}

/** `$id` becomes `title`: the generator of the document drops the one and keeps the other. */
function titled({ $id: id, ...rest }: Json): Json {
  return typeof id === 'string' ? { ...rest, title: id } : rest;
}

/** A TypeBox schema in the plain words of JSON Schema, for clients and their generators. */
export function plainSchema(given: unknown, direction: Direction): unknown {
  if (!isObject(given)) return given;
  const inner = (value: unknown) => plainSchema(value, direction);
  const schema: Json = titled(given);
  for (const word of ['properties', 'patternProperties'])
    if (schema[word] !== undefined) schema[word] = mapValues(schema[word], inner);
  for (const word of ['items', 'additionalProperties', 'not'])
    if (schema[word] !== undefined) schema[word] = inner(schema[word]);
  for (const word of ['anyOf', 'allOf', 'oneOf', 'prefixItems']) {
    const members = schema[word];
    if (Array.isArray(members)) schema[word] = members.map(inner);
  }
  const record = asRecord(asEnum(schema));
  if (direction === 'sent') return withoutDefaulted(record);
  // Nothing is missing in an answer.
  const { default: _default, ...answered } = record;
  return answered;
}

/** The same where a schema may stand behind media types. */
export function plainContent(given: unknown, direction: Direction): unknown {
  if (!isObject(given) || !isObject(given['content'])) return plainSchema(given, direction);
  const media = (value: unknown) =>
    isObject(value) ? { ...value, schema: plainSchema(value['schema'], direction) } : value;
  return { ...given, content: mapValues(given['content'], media) };
}
