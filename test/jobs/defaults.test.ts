import fc from 'fast-check';
import { Type } from 'typebox';
import Value from 'typebox/value';
import { expect, test } from 'vitest';
import { SPEC_EXAMPLES } from '../../src/api/openapi/examples.js';
import { compileDefaults } from '../../src/jobs/defaults.js';
import { SpecSchema } from '../../src/jobs/spec.js';

const fill = compileDefaults(SpecSchema);
/** As JSON: `Value.Default` gives fields to arrays as well, which nobody reads. */
const same = (given: unknown): void => {
  const [ours, theirs] = [fill(structuredClone(given)), Value.Default(SpecSchema, structuredClone(given))];
  expect(JSON.stringify(ours)).toEqual(JSON.stringify(theirs));
};

test('of a specification are those that the schema says, whatever is given', () => {
  const examples = Object.values(SPEC_EXAMPLES).map(({ value }) => value);
  expect(examples.length).toBeGreaterThan(0);
  for (const example of [...examples, {}, null, [], 'text', undefined]) same(example);
  // Parts that are left out, in every combination, and values of any kind where objects are wanted.
  const { properties } = SpecSchema;
  const part = (name: string) =>
    fc.oneof(
      fc.constant({}),
      fc.jsonValue(),
      fc.constantFrom(...examples.map((example) => (example as Record<string, unknown>)[name] ?? {})),
    );
  const spec = fc.record(Object.fromEntries(Object.keys(properties).map((name) => [name, part(name)])), {
    requiredKeys: [],
  });
  const method = fc.record(
    Object.fromEntries(Object.keys(properties.method.properties).map((name) => [name, part(name)])),
    { requiredKeys: [] },
  );
  fc.assert(fc.property(spec, (given) => same(given)));
  fc.assert(fc.property(method, (given) => same({ method: given })));
});

test('inside the branches of a union are those of the branch that fits', () => {
  const object = <T extends Parameters<typeof Type.Object>[0]>(properties: T) =>
    Type.Object(properties, { additionalProperties: false });
  const schema = Type.Array(
    Type.Union([
      object({ a: Type.Number(), of: Type.String({ default: 'a' }) }),
      object({ b: Type.Number(), of: Type.Array(Type.String(), { default: ['b'] }) }),
    ]),
  );
  const given = () => [{ a: 1 }, { b: 2 }, { b: 2, of: [] }, { c: 3 }, 4];
  const filled = compileDefaults(schema)(given());
  expect(filled).toEqual([{ a: 1, of: 'a' }, { b: 2, of: ['b'] }, { b: 2, of: [] }, { c: 3 }, 4]);
  expect(filled).toEqual(Value.Default(schema, given()));
});

test('are not shared by those who get them', () => {
  const [one, two] = [fill({}), fill({})] as { labels: Record<string, string> }[];
  if (one !== undefined) one.labels['mine'] = 'x';
  expect(two?.labels).toEqual({});
});
