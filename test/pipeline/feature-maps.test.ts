import { describe, expect, it } from 'vitest';
import { batchWithin, mapBytes } from '../../src/pipeline/network/feature-maps.js';

const conv = { channels: 3, group: 1, m: 8, positions: 100, strides: [1, 1] };

describe('the memory of feature maps', () => {
  it('counts inputs before their stride and all groups, outputs after it', () => {
    expect(mapBytes([{ ...conv, strides: [2, 2] }])).toEqual({ all: 1 + 4 * 1200, held: 4 * 2000, input: 4 * 1200 });
    expect(mapBytes([{ ...conv, channels: 1, group: 8 }])).toEqual({ all: 1 + 3200, held: 6400, input: 3200 });
  });

  it('adds up what a capturing pass keeps, but holds one layer at a time', () => {
    const bytes = mapBytes([conv, { ...conv, channels: 8 }]);
    expect(bytes).toEqual({ all: 1 + 2 * 3200, held: 6400, input: 3200 });
  });

  it('gives a batch of at least one sample and at most the wanted number', () => {
    expect(batchWithin(1000, 300, 64)).toBe(3);
    expect(batchWithin(1000, 3000, 64)).toBe(1);
    expect(batchWithin(1e9, 300, 64)).toBe(64);
  });
});
