import { describe, expect, it } from 'vitest';
import Value from 'typebox/value';
import { SHAPE_FITS } from '../../src/compression/low-rank/index.js';
import { LayerRowSchema } from '../../src/jobs/results.js';
import { MethodSchema } from '../../src/jobs/spec.js';
import { LOW_RANK_SHAPES, lowRankShapes, PLAIN_SHAPE } from '../../src/models/low-rank/index.js';
import { LOW_RANK_EMITTERS } from '../../src/models/emit/low-rank/index.js';
import { missingParts, type Room } from './missing-parts.js';

const ROOMS: Room[] = [
  { folder: 'src/models/low-rank', registry: LOW_RANK_SHAPES, helpers: ['shape.ts'] },
  {
    folder: 'src/compression/low-rank',
    registry: SHAPE_FITS,
    helpers: ['factors.ts', 'narrow-input.ts', 'output-metric.ts', 'rank-grid.ts', 'shape-fit.ts', 'tap-basis.ts'],
  },
  { folder: 'src/models/emit/low-rank', registry: LOW_RANK_EMITTERS, helpers: ['emitter.ts'] },
];

/** Of a convolution of 3 x 3 that every shape can have. */
const LAYER = {
  ...{ d: 72, channels: 8, kernel: [3, 3], positions: 36 },
  ...{ inputSize: [6, 6], outputSize: [6, 6] },
};

describe('the registry of low-rank shapes', () => {
  it('has every part of every shape', () => {
    expect(missingParts(lowRankShapes, ROOMS)).toEqual([]);
  });

  it('names each part that a new shape lacks', () => {
    expect(missingParts([...lowRankShapes, 'cross'], ROOMS)).toEqual(
      ROOMS.flatMap(({ folder }) => [
        `${folder}/cross.ts is missing: the part of cross`,
        `${folder}/index.ts does not list cross`,
      ]),
    );
  });

  it('names a file that no registry lists', () => {
    const without = lowRankShapes.filter((shape) => shape !== 'tucker');
    expect(missingParts(without, ROOMS)).toContain(
      'src/models/low-rank/tucker.ts is no variant that is listed, nor a known helper',
    );
  });

  it('is what the API takes and what a job reports', () => {
    const asked = MethodSchema.properties.low_rank_shapes;
    const { low_rank_shape: told } = LayerRowSchema.properties;
    expect(Value.Default(asked, undefined)).toEqual(lowRankShapes);
    for (const shape of lowRankShapes) {
      expect(Value.Check(asked, [shape])).toBe(true);
      expect(Value.Check(told, shape)).toBe(true);
    }
    expect(Value.Check(asked, ['cross'])).toBe(false);
    expect(Value.Check(told, 'cross')).toBe(false);
  });

  it.each(lowRankShapes)('%s: its widths are those of its convolutions', (shape) => {
    const { narrows, parts } = LOW_RANK_SHAPES[shape];
    const size = { rank: 5, inner: narrows === 'both' ? 3 : 0 };
    const chain = parts(LAYER, size, 16);
    expect(chain).toHaveLength(narrows === 'both' ? 3 : 2);
    expect(chain.map(({ outputs }) => outputs)).toEqual(narrows === 'both' ? [3, 5, 16] : [5, 16]);
    expect(chain.map(({ channels }) => channels)).toEqual(narrows === 'both' ? [8, 3, 5] : [8, 5]);
  });

  it.each(lowRankShapes)('%s: is measured, by its first convolution or as the plain one', (shape) => {
    const { firstConvolution } = SHAPE_FITS[shape];
    expect(firstConvolution === null).toBe(shape === PLAIN_SHAPE);
    expect(firstConvolution === null).toBe(LOW_RANK_SHAPES[shape].narrows === 'output');
    if (firstConvolution === null) return;
    const patch = { channels: 8, taps: 9, lastAxes: 3 };
    const { outer, taps } = firstConvolution.split(patch);
    expect(outer * taps).toBe(72);
    const widths = firstConvolution.widths(64, 64);
    expect(widths).toEqual([...widths].sort((a, b) => a - b));
  });
});
