import { describe, expect, it } from 'vitest';
import Value from 'typebox/value';
import { SUPPORT_RULES } from '../../src/compression/sparse/index.js';
import { MethodSchema } from '../../src/jobs/spec.js';
import {
  groupsOf,
  groupsTotal,
  isMasked,
  PATTERN,
  PLAIN_PATTERN,
  SPARSE_PATTERNS,
} from '../../src/models/sparse/index.js';
import { SPARSE_EMITTERS } from '../../src/models/emit/sparse/index.js';
import { missingParts, type Room } from './missing-parts.js';

const DESCRIPTIONS: Room = { folder: 'src/models/sparse', registry: PATTERN, helpers: ['pattern.ts'] };
const RULES: Room = {
  folder: 'src/compression/sparse',
  registry: SUPPORT_RULES,
  helpers: ['eliminate-channels.ts', 'masked-part.ts', 'projections.ts', 'select-channels.ts', 'support.ts'],
};
const EMITTERS: Room = {
  folder: 'src/models/emit/sparse',
  registry: SPARSE_EMITTERS,
  helpers: ['emitter.ts', 'kept.ts', 'with-zeros.ts'],
};

const hasOwnForm = (pattern: (typeof SPARSE_PATTERNS)[number]): boolean => !PATTERN[pattern].storesZeros('Conv');

/** Of a convolution of 3 x 3; every pattern can have half of its groups. */
const LAYER = { m: 16, d: 72, channels: 8, positions: 36, op: 'Conv' as const, inputSize: [6, 6], outputSize: [6, 6] };

describe('the registry of sparse patterns', () => {
  it('has every part of every pattern', () => {
    expect(missingParts(SPARSE_PATTERNS, [DESCRIPTIONS])).toEqual([]);
    expect(missingParts(SPARSE_PATTERNS.filter(isMasked), [RULES])).toEqual([]);
    expect(missingParts(SPARSE_PATTERNS.filter(hasOwnForm), [EMITTERS])).toEqual([]);
    expect(Object.keys(SPARSE_EMITTERS).sort()).toEqual([...SPARSE_PATTERNS].sort());
  });

  it('names each part that a new pattern lacks', () => {
    expect(missingParts(['cross:row'], [DESCRIPTIONS, EMITTERS]).filter((line) => line.includes('cross'))).toEqual([
      'src/models/sparse/cross-row.ts is missing: the part of cross:row',
      'src/models/sparse/index.ts does not list cross:row',
      'src/models/emit/sparse/cross-row.ts is missing: the part of cross:row',
      'src/models/emit/sparse/index.ts does not list cross:row',
    ]);
  });

  it('is what the API takes', () => {
    const asked = MethodSchema.properties.pattern;
    expect(Value.Default(asked, undefined)).toBe(PLAIN_PATTERN);
    for (const pattern of SPARSE_PATTERNS) expect(Value.Check(asked, pattern)).toBe(true);
    expect(Value.Check(asked, 'cross:row')).toBe(false);
  });

  it.each(SPARSE_PATTERNS)(
    '%s: an even part has the groups, the nonzero weights and the size that it says',
    (pattern) => {
      const { step, even, nonzeros, parts, stores, width } = PATTERN[pattern];
      const total = groupsTotal(LAYER, pattern);
      const every = step(LAYER);
      const groups = every === null ? total : every * Math.floor(total / every / 2);
      const part = { pattern, ...even(LAYER, groups, 1) };
      expect(groupsOf(part, LAYER.m)).toBe(groups);
      const beside = nonzeros(LAYER, groups, false);
      const kept = part.weights.reduce((sum, w) => sum + w, 0);
      // Where a kernel picks the taps it has a weight for each of them, too.
      expect(beside - kept).toBe(stores === 'columns' && width(9) === 1 ? groups : 0);
      const stored = parts(LAYER, groups, false).map(({ outputs, channels, taps }) => outputs * channels * taps);
      expect(stored.reduce((a, b) => a + b, 0)).toBeGreaterThanOrEqual(beside);
    },
  );
});
