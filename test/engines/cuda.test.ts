import { expect, it } from 'vitest';
import { cudaInstalled } from '../../src/engines/cuda/installed.js';
import { createEngine, deviceOfNetworks, ENGINE_CHOICES } from '../../src/engines/index.js';
import { loadModel, Runner } from '../../src/models/index.js';
import { LIMITS, noise, scratch, writeProto } from '../models/graphs.js';
import { plantedNetwork, SIDE } from '../pipeline/network.js';

const installed = cudaInstalled();

it('says what the engine cuda lacks', { skip: installed }, async () => {
  await expect(createEngine('cuda', { threads: 1 })).rejects.toMatchObject({
    code: 'unavailable',
    message: expect.stringMatching(/onnxruntime-node is installed without its CUDA provider/) as string,
  });
});

it('runs a network on the processor where there is no CUDA', { skip: installed }, async () => {
  const directory = scratch();
  const model = await loadModel(writeProto(plantedNetwork(), directory), { directory, limits: LIMITS });
  const runner = await Runner.open(model, { threads: 1, device: 'cuda' });
  expect(runner.device).toBe('cpu');
  const made = await runner.run(new Map([['x', { dims: [1, 3, SIDE, SIDE], data: noise(3 * SIDE * SIDE) }]]));
  expect(made.get('logits')?.dims).toEqual([1, 5]);
  await runner.release();
});

it('runs networks where an engine computes, and on the processor where none was asked for', () => {
  const devices = Object.fromEntries(ENGINE_CHOICES.map((choice) => [choice, deviceOfNetworks(choice)]));
  expect(devices).toEqual({
    ...{ auto: 'cpu', onnxruntime: 'cpu', webgpu: 'webgpu', cuda: 'cuda' },
    tensorflow: installed ? 'cuda' : 'cpu',
  });
});
