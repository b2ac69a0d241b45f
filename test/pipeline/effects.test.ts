import { describe, expect, it } from 'vitest';
import type { Candidate } from '../../src/compression/index.js';
import { DENSE } from '../../src/models/index.js';
import { withEffects } from '../../src/pipeline/curves/effects.js';

const candidate = (size: Partial<Candidate>): Candidate => ({
  ...DENSE,
  parameters: 1,
  macs: 1,
  nonzeros: 1,
  work: 1,
  error: 0,
  ...size,
});
const ranks = [
  { rank: 8, layerError: 0.1, outputError: 0.02 },
  { rank: 16, layerError: 0.01, outputError: 0.001 },
];
const taps = [
  {
    fits: { shape: 'tucker' as const, widths: [8, 16], errors: [0.2, 0.05] },
    points: [
      { rank: 8, layerError: 0.2, outputError: 0.08 },
      { rank: 16, layerError: 0.05, outputError: 0.01 },
    ],
  },
  {
    fits: { shape: 'spatial' as const, widths: [8], errors: [0.1] },
    points: [{ rank: 8, layerError: 0.1, outputError: 0.03 }],
  },
];

describe('the effect of a candidate on the network', () => {
  const [dense, eight, sixteen, tucker, spatial, beside] = withEffects(
    [
      candidate({}),
      candidate({ rank: 8, error: 0.1 }),
      candidate({ rank: 16, error: 0.01 }),
      candidate({ shape: 'tucker', rank: 16, inner: 8, error: 0.22 }),
      candidate({ shape: 'spatial', rank: 8, error: 0.1 }),
      candidate({ rank: 8, groups: 4, error: 0.01 }),
    ],
    ranks,
    taps,
  );

  it('is none for the dense layer and the measured one for what was measured', () => {
    expect(dense?.effect).toBe(0);
    expect(eight?.effect).toBeCloseTo(0.02, 12);
    expect(sixteen?.effect).toBeCloseTo(0.001, 12);
    expect(spatial?.effect).toBeCloseTo(0.03, 12);
  });

  it('adds up what narrowing the input and limiting the rank do', () => {
    expect(tucker?.effect).toBeCloseTo(0.08 + 0.001, 12);
  });

  it('of a sum with a sparse part follows its own error', () => {
    expect(beside?.effect).toBeCloseTo(0.001, 12);
  });
});
