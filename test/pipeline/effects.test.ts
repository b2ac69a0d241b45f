import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Candidate } from '../../src/compression/index.js';
import { DENSE } from '../../src/models/index.js';
import { makeInt } from '../../src/models/ir/attributes.js';
import { floatTensor } from '../../src/models/ir/tensors.js';
import type { Curves } from '../../src/pipeline/curves/curves.js';
import { withEffects } from '../../src/pipeline/curves/effects.js';
import { files } from '../../src/pipeline/files/step-files.js';
import { node, noise, proto, tensorOf } from '../models/graphs.js';
import { SIDE, StepRig } from './steps/rig.js';

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
    { ranks, taps, channels: [] },
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

  it('of inputs that are left out, where few ranks tell, is in proportion to that of losing all', () => {
    // Of two outputs: what a rank of 1 loses, nobody sees.
    const few = [
      { rank: 0, layerError: 0.8, outputError: 0.4 },
      { rank: 1, layerError: 1e-4, outputError: 1e-10 },
    ];
    const of = (size: Partial<Candidate>) =>
      withEffects([candidate(size)], { ranks: few, taps: [], channels: [] })[0]?.effect;
    expect(of({ groups: 8, error: 0.02 })).toBeCloseTo(0.01, 12);
    expect(of({ rank: 1, error: 1e-4 })).toBeCloseTo(1e-10, 16);
    // A single output has no smaller rank.
    const one = withEffects([candidate({ groups: 8, error: 0.02 })], {
      ranks: few.slice(0, 1),
      taps: [],
      channels: [],
    });
    expect(one[0]?.effect).toBeCloseTo(0.01, 12);
  });

  it('of some channels alone follows what was measured of these, and counts for more', () => {
    const channels = [{ rank: 8, layerError: 0.1, outputError: 0.05 }];
    const of = (size: Partial<Candidate>) => withEffects([candidate(size)], { ranks, taps, channels })[0]?.effect;
    expect(of({ groups: 8, error: 0.1 })).toBeCloseTo(1.5 * 0.05, 12);
    // Nothing makes up for what the last layer loses.
    const last = withEffects([candidate({ groups: 8, error: 0.1 })], { ranks, taps, channels }, true);
    expect(last[0]?.effect).toBeCloseTo(4 * 0.05, 12);
    expect(of({ rank: 8, groups: 4, error: 0.01 })).toBeCloseTo(0.001, 12);
  });
});

it('a softmax of two is asked what it does without the layer in front, not only without its least direction', async () => {
  const [inputs, outputs] = [16, 2];
  // The two scores are nearly opposite: their sum, which a softmax is blind to, is what a rank of 1 loses.
  const score = noise(inputs, 3);
  const weights = Float32Array.from({ length: inputs * outputs }, (_, i) => {
    const value = score[Math.floor(i / outputs)] ?? 0;
    return (i % outputs === 0 ? value : -value) + 0.05 * (noise(1, i + 5)[0] ?? 0);
  });
  const model = proto({
    input: [3, SIDE, SIDE],
    tensors: [tensorOf('w0', [inputs, 3, SIDE, SIDE], 11), floatTensor('w1', [inputs, outputs], weights)],
    nodes: [
      node('Conv', ['x', 'w0'], 'c'),
      node('Flatten', ['c'], 'f'),
      node('MatMul', ['f', 'w1'], 'scores', [], 'head'),
      node('Softmax', ['scores'], 'y', [makeInt('axis', -1)]),
    ],
  });
  const rig = await StepRig.open({}, { model, labels: false });
  const { path } = await rig.run('inspect');
  const { layers } = JSON.parse(readFileSync(path(files.curves), 'utf8')) as Curves;
  const head = layers.find(({ layer }) => layer.name === 'head');
  const alone = head?.candidates.filter(({ rank, groups }) => rank === 0 && groups > 0) ?? [];
  expect(alone.length).toBeGreaterThan(0);
  // An error of the scores moves the probabilities about as much.
  for (const { error, effect } of alone) {
    expect(effect / error).toBeGreaterThan(0.1);
    expect(effect / error).toBeLessThan(10);
  }
  const one = head?.candidates.find(({ rank, groups }) => rank === 1 && groups === 0);
  expect((one?.effect ?? 1) / (one?.error ?? 1)).toBeLessThan(0.1);
});
