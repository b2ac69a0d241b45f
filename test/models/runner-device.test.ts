import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { loadModel, Runner, type Model } from '../../src/models/index.js';
import type * as runtime from '../../src/runtime/session.js';
import { LIMITS, noise, scratch, writeProto } from './graphs.js';
import { plantedNetwork, SIDE } from '../pipeline/network.js';

/** What a device makes of a run: of the values that the processor gives in its place here. */
type Device = (values: Record<string, { data: Float32Array }>) => void;

const device = vi.hoisted(() => ({ opens: true, makes: ((): void => undefined) as unknown, opened: [] as string[] }));

vi.mock(import('../../src/runtime/session.js'), async (original) => {
  const real = await original();
  return {
    ...real,
    openSession: async (api, model, options) => {
      const [given = 'cpu'] = options.executionProviders ?? [];
      const first = typeof given === 'string' ? given : given.name;
      device.opened.push(first);
      const session = await real.openSession(api, model, { ...options, executionProviders: ['cpu'] });
      if (first === 'cpu') return session;
      if (!device.opens) throw new Error('Failed to get a WebGPU adapter');
      const run = session.run.bind(session);
      session.run = (async (feeds: Parameters<typeof run>[0]) => {
        const values = await run(feeds);
        (device.makes as Device)(values as never);
        return values;
      }) as typeof session.run;
      return session;
    },
  } satisfies typeof runtime;
});

describe('a network on another device', () => {
  let model: Model;
  const x = new Map([['x', { dims: [2, 3, SIDE, SIDE], data: noise(2 * 3 * SIDE * SIDE, 3) }]]);
  beforeAll(async () => {
    const directory = scratch();
    model = await loadModel(writeProto(plantedNetwork(), directory), { directory, limits: LIMITS });
  });
  afterEach(() => {
    device.opens = true;
    device.makes = () => undefined;
    device.opened.length = 0;
  });

  /** Of two runs: all values, and where the network ran. */
  async function runTwice(makes: Device = () => undefined) {
    device.makes = makes;
    const runner = await Runner.open(model, { threads: 1, device: 'webgpu' });
    const before = runner.device;
    const values = [await runner.run(x), await runner.run(x)].map((run) =>
      [...run.values()].map(({ data }) => [...data]),
    );
    const { device: after } = runner;
    await runner.release();
    return { before, after, values };
  }

  it('stays there when its first run gives what the processor gives', async () => {
    const runner = await Runner.open(model, { threads: 1 });
    const expected = [...(await runner.run(x)).values()].map(({ data }) => [...data]);
    expect(runner.device).toBe('cpu');
    await runner.release();
    device.opened.length = 0;
    const slightly: Device = (values) => {
      for (const { data } of Object.values(values)) data[0] = (data[0] ?? 0) * (1 + 1e-4);
    };
    const { before, after, values } = await runTwice(slightly);
    expect([before, after, device.opened]).toEqual(['webgpu', 'webgpu', ['webgpu', 'cpu']]);
    for (const own of values)
      for (const [i, output] of own.entries())
        for (const [at, value] of output.entries()) expect(value).toBeCloseTo(Number(expected[i]?.[at]), 2);
  });

  it.each<[string, Device]>([
    ['gives other values', (values) => Object.values(values).forEach(({ data }) => data.fill(1))],
    ['gives no numbers', (values) => Object.values(values).forEach(({ data }) => data.fill(NaN))],
    [
      'fails',
      () => {
        throw new Error('device lost');
      },
    ],
  ])('goes on on the processor when its first run %s', async (_, makes) => {
    const { before, after, values } = await runTwice(makes);
    expect([before, after]).toEqual(['webgpu', 'cpu']);
    const [first, second] = values;
    expect(first).toEqual(second);
    expect(first?.flat().every((value) => Number.isFinite(Number(value)))).toBe(true);
  });

  it('goes on on the processor when a later run fails', async () => {
    let runs = 0;
    const { after, values } = await runTwice(() => {
      if (++runs === 2) throw new Error('device lost');
    });
    expect(after).toBe('cpu');
    expect(values[1]).toEqual(values[0]);
    expect(device.opened).toEqual(['webgpu', 'cpu', 'cpu']);
  });

  it('runs on the processor where the device cannot have it', async () => {
    device.opens = false;
    const { before, after } = await runTwice();
    expect([before, after, device.opened]).toEqual(['cpu', 'cpu', ['webgpu', 'cpu']]);
  });

  it('says of a wrong input what the processor says', async () => {
    const runner = await Runner.open(model, { threads: 1, device: 'webgpu' });
    const wrong = new Map([['x', { dims: [2, 5, SIDE, SIDE], data: noise(2 * 5 * SIDE * SIDE, 3) }]]);
    await expect(runner.run(wrong)).rejects.toThrow(/does not run on an input of shape/);
    // It is no fault of the device, which the next run is compared with.
    await runner.run(x);
    expect([runner.device, device.opened]).toEqual(['webgpu', ['webgpu', 'cpu', 'cpu']]);
    await runner.release();
  });
});
