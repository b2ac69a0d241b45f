import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import type { InspectResult } from '../../../src/jobs/tasks.js';
import type { Curves } from '../../../src/pipeline/curves/curves.js';
import { readProblem, readResponse } from '../../../src/pipeline/files/layer-file.js';
import { files } from '../../../src/pipeline/files/step-files.js';
import { CHANNELS, RANK, StepRig } from './rig.js';

describe('the step inspect, on two planted convolutions, a depthwise one and a classifier', () => {
  let result: InspectResult;
  let path: (name: string) => string;
  let curves: Curves;
  beforeAll(async () => {
    ({ result, path } = await (await StepRig.open()).run('inspect'));
    curves = JSON.parse(await readFile(path(files.curves), 'utf8')) as Curves;
  });

  it('lists every layer with its size, and says of the one that stays dense why', () => {
    expect(result.layers.map(({ name, decision, reason }) => [name, decision, reason])).toEqual([
      ['first', null, null],
      ['second', null, null],
      ['depthwise', 'dense', 'depthwise convolution'],
      ['classifier', null, null],
    ]);
    expect(result.layers.map(({ parameters }) => parameters.before)).toEqual([
      CHANNELS * 3 * 9 + CHANNELS,
      CHANNELS * CHANNELS * 9 + CHANNELS,
      CHANNELS * 9,
      3 * CHANNELS * 36 + 3,
    ]);
    expect(result.model.parameters).toBe(result.layers.reduce((sum, { parameters }) => sum + parameters.before, 0));
  });

  it('draws the network: the layers in it, and what each node takes', () => {
    const graph = result.graph ?? [];
    expect(graph.flatMap(({ name, layer }) => (layer === null ? [] : [[name, layer]]))).toEqual([
      ['first', 0],
      ['second', 1],
      ['depthwise', 2],
      ['classifier', 3],
    ]);
    expect(graph.slice(1).every(({ inputs }, i) => inputs.includes(i))).toBe(true);
  });

  it('finds no error from the planted rank on, and more of it the narrower a form is', () => {
    const [, second] = curves.layers;
    const candidates = second?.candidates ?? [];
    const channel = candidates.filter(({ shape, rank, groups }) => shape === 'channel' && rank > 0 && groups === 0);
    expect(channel.map(({ rank }) => rank)[0]).toBe(RANK);
    for (const { error } of channel) expect(error).toBeLessThan(1e-6);
    const tucker = candidates.filter(({ shape, rank }) => shape === 'tucker' && rank === RANK);
    const errors = tucker.toSorted((a, b) => a.inner - b.inner).map(({ error }) => error);
    expect(errors.length).toBeGreaterThan(1);
    expect(errors).toEqual(errors.toSorted((a, b) => b - a));
    expect(errors[0]).toBeGreaterThan(1e-3);
    for (const { effect } of candidates) expect(effect).toBeGreaterThanOrEqual(0);
  });

  it('has a curve for every layer that can be compressed, and for no other', () => {
    expect(curves.layers.map(({ layer }) => layer.name)).toEqual(['first', 'second', 'classifier']);
    expect(curves.parameters).toBe(result.model.parameters);
  });

  it('keeps samples of which the responses are what the weights make of the inputs', async () => {
    for (const index of [0, 1, 3]) {
      const { problem } = await readProblem(path(files.samples(index)));
      const response = await readResponse(path(files.response(index)));
      const m = problem.bias.length;
      const d = problem.weights.length / m;
      const samples = problem.inputs.length / d;
      expect(response).toHaveLength(samples * m);
      for (let s = 0; s < samples; s += 7) {
        for (let i = 0; i < m; i++) {
          let sum = problem.bias[i] ?? NaN;
          for (let j = 0; j < d; j++) sum += (problem.weights[i * d + j] ?? NaN) * (problem.inputs[s * d + j] ?? NaN);
          expect(response[s * m + i]).toBeCloseTo(sum, 3);
        }
      }
    }
  });
});

it('the step inspect refuses a ratio that the smallest forms of all layers do not reach, with the one they do', async () => {
  const rig = await StepRig.open({ target: { parameter_ratio: 100 } });
  await expect(rig.run('inspect')).rejects.toMatchObject({
    code: 'unreachable_target',
    faults: [{ pointer: '/target/parameter_ratio', detail: expect.stringMatching(/^at most \d/) as string }],
  });
});
