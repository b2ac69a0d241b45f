import { describe, expect, it } from 'vitest';
import Value from 'typebox/value';
import { MethodSchema } from '../../src/jobs/spec.js';
import { codingOf, PLAIN_CODING, WEIGHT_CODINGS, weightCodings } from '../../src/models/coding/weight-codings.js';
import { TENSOR_CODERS } from '../../src/models/emit/coding/index.js';
import { missingParts, type Room } from './missing-parts.js';

const CODERS: Room = { folder: 'src/models/emit/coding', registry: TENSOR_CODERS, helpers: ['coder.ts'] };

describe('the registry of weight codings', () => {
  it('has a coder for every coding that changes the weights', () => {
    const coders = weightCodings.flatMap((name) => codingOf(name).coder ?? []);
    expect(missingParts([...new Set(coders)], [CODERS])).toEqual([]);
  });

  it('names what a new coder lacks', () => {
    const lacking = missingParts([...Object.keys(TENSOR_CODERS), 'int4'], [CODERS]);
    expect(lacking).toEqual([
      'src/models/emit/coding/int4.ts is missing: the part of int4',
      'src/models/emit/coding/index.ts does not list int4',
    ]);
  });

  it('is what the API takes', () => {
    const asked = MethodSchema.properties.weights.properties.coding;
    expect(Value.Default(asked, undefined)).toBe(PLAIN_CODING);
    expect(WEIGHT_CODINGS[PLAIN_CODING].coder).toBeNull();
    for (const coding of weightCodings) expect(Value.Check(asked, coding)).toBe(true);
    expect(Value.Check(asked, 'int4')).toBe(false);
  });
});
