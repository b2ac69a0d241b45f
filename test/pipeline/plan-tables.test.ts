import { describe, expect, it } from 'vitest';
import { allocate } from '../../src/compression/index.js';
import { DENSE, factoredCost, type Layer } from '../../src/models/index.js';
import type { Curves } from '../../src/pipeline/curves/curves.js';
import { inBatches, tablesFor } from '../../src/pipeline/steps/plan/tables.js';

const candidate = (rank: number, { work, once }: { work: number; once: number }) => ({
  ...DENSE,
  rank,
  ...{ parameters: 10, nonzeros: 10, macs: 10, error: 0, work, once },
});

/** A layer with a form that begins two convolutions more than the layer itself and computes half as much. */
const layer = {
  weight: 1,
  candidates: [candidate(0, { work: 100, once: 20 }), candidate(4, { work: 100, once: 60 })],
};

it('leaves the work of a sample by itself as it is', () => {
  expect(inBatches([layer], [1])[0]?.candidates.map(({ work }) => work)).toEqual([100, 100]);
});

it('counts what a run costs once less, the larger the batch is', () => {
  const shares = [1, 4, 32].map((batch) => {
    const [dense, factored] = inBatches([layer], [batch])[0]?.candidates ?? [];
    return (factored?.work ?? 0) / (dense?.work ?? 0);
  });
  // (4 x 40 + 60) / (4 x 80 + 20), (32 x 40 + 60) / (32 x 80 + 20)
  expect(shares).toEqual([1, 220 / 340, 1340 / 2580].map((share) => expect.closeTo(share, 12) as number));
});

it('takes the mean over batch sizes, in which none outweighs the others by its length', () => {
  const [dense, factored] = inBatches([layer, layer], [1, 32])[0]?.candidates ?? [];
  expect(dense?.work).toBeCloseTo(100, 9);
  expect(factored?.work).toBeCloseTo((100 * (1 + 1340 / 2580)) / 2, 9);
});

it('takes candidates of which it is not known what is counted once', () => {
  const old = { weight: 1, candidates: [{ ...DENSE, parameters: 1, nonzeros: 1, macs: 1, error: 0, work: 7 }] };
  expect(inBatches([old], [1, 32])[0]?.candidates[0]?.work).toBeCloseTo(7, 9);
});

it('leaves out forms that are not faster, unless the target loses much less with them', () => {
  const form = (rank: number, { parameters, work, effect }: { parameters: number; work: number; effect: number }) => ({
    ...DENSE,
    rank,
    ...{ parameters, nonzeros: parameters, macs: work, error: effect, effect, work },
  });
  const of = (slow: number): Curves => {
    const candidates = [
      form(0, { parameters: 100, work: 100, effect: 0 }),
      form(5, { parameters: 50, work: 110, effect: slow }),
      form(4, { parameters: 40, work: 60, effect: 0.1 }),
    ];
    const known = { m: 10, hasBias: true, parameters: 100, macs: 100 } as Curves['layers'][number]['layer'];
    return { layers: [{ index: 0, layer: known, candidates, sensitivity: [] }], parameters: 100, macs: 100 };
  };
  const ranks = (slow: number) => {
    const spec = { target: { parameter_ratio: 2 }, benchmark: { batch_sizes: [1], threads: null } };
    return tablesFor(spec, of(slow))[0]?.candidates.map(({ rank }) => rank);
  };
  expect(ranks(0.097)).toEqual([0, 4]);
  expect(ranks(0.05)).toEqual([0, 5, 4]);
});

describe('ranks in between', () => {
  /** A fully connected layer, and one beside it that is as it is. */
  const sizes = { m: 64, d: 2048, channels: 2048, positions: 1, kernel: [], op: 'Gemm', hasBias: true, biases: 1 };
  const wide = { ...sizes, parameters: 64 * 2048 + 64, macs: 64 * 2048 } as unknown as Layer;
  const forms = [8, 16, 24, 32, 40, 48, 56].map((rank) => {
    const size = { ...DENSE, rank };
    return { ...size, ...factoredCost(wide, size), error: 0.5 / rank, effect: 0.25 / rank };
  });
  const curvesOf = (beside: number): Curves => ({
    layers: [
      {
        index: 0,
        layer: wide,
        candidates: [{ ...DENSE, ...factoredCost(wide, DENSE), error: 0, effect: 0 }, ...forms],
        sensitivity: [],
      },
    ],
    parameters: wide.parameters + beside,
    macs: wide.macs + beside,
  });
  const planned = (ratio: number, beside: number) => {
    const target = { parameter_ratio: ratio };
    const curves = curvesOf(beside);
    const [table] = tablesFor({ target, benchmark: { batch_sizes: [1], threads: null } }, curves);
    const budget = curves.parameters / ratio;
    const [chosen = -1] = table === undefined ? [] : allocate([table], { cost: 'parameters', budget: budget - beside });
    const form = table?.candidates[chosen];
    return {
      form,
      reached: curves.parameters / ((form?.parameters ?? NaN) + beside),
      ranks: table?.candidates.map((c) => c.rank),
    };
  };

  it('come near to what was asked for where the weights lie in one layer', () => {
    for (const ratio of [1.6, 2, 2.5, 3, 4]) {
      const { reached } = planned(ratio, 17_000);
      expect(reached).toBeGreaterThanOrEqual(ratio);
      expect(reached).toBeLessThan(1.05 * ratio);
    }
  });

  it('lose what lies between their neighbours', () => {
    const { form } = planned(2, 17_000);
    expect(form?.rank).toBeGreaterThan(24);
    expect(form?.rank).toBeLessThan(32);
    expect(form?.error).toBeLessThan(0.25 / 24);
    expect(form?.error).toBeGreaterThan(0.25 / 32);
  });

  it('are not looked at where a step is a small part of the whole', () => {
    const { ranks } = planned(1.05, 1_200_000);
    expect(ranks.length).toBeGreaterThan(5);
    expect(ranks.filter((rank) => rank % 8 !== 0)).toEqual([]);
  });
});
