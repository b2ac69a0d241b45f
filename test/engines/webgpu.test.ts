import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createEngine, matrix, type Engine, type EngineChoice } from '../../src/engines/index.js';
import { createWebgpuEngine, type Cost } from '../../src/engines/webgpu/engine.js';
import { expectedFaster } from '../../src/engines/webgpu/placement.js';
import { normals, seededRandom } from '../../src/compression/linalg/random.js';
import { loadModel, Runner, TrainableNetwork } from '../../src/models/index.js';
import type { RuntimeDevice } from '../../src/runtime/session.js';
import { compressLocally } from '../../src/pipeline/local.js';
import { LIMITS, scratch, writeProto } from '../models/graphs.js';
import { localOptions, plantedNetwork, SIDE, writeFiles } from '../pipeline/network.js';
import { conformance } from './conformance.js';

const realOpen = Runner.open.bind(Runner);

/**
 * Chromium brings SwiftShader, a Vulkan device in software. (Dawn refuses the lavapipe of Mesa 22, Debian 12's: it
 * lacks arrays of sampled images.) Where the machine's drivers are named already, those are used.
 */
const SWIFTSHADER = '/usr/lib/chromium/vk_swiftshader_icd.json';
const named = process.env['VK_DRIVER_FILES'] ?? process.env['VK_ICD_FILENAMES'];
if (named === undefined && existsSync(SWIFTSHADER)) process.env['VK_ICD_FILENAMES'] = SWIFTSHADER;

const absent = await createWebgpuEngine(1).then(
  async (engine) => {
    await engine.dispose();
    return null;
  },
  (error: Error) => error.message,
);

if (absent === null) {
  conformance(
    'webgpu, all of it on the device',
    () => createWebgpuEngine(1, () => true),
    (engine) => expect(engine).toMatchObject({ name: 'webgpu', device: 'webgpu', threads: 1 }),
  );

  conformance(
    'webgpu',
    () => createEngine('webgpu', { threads: 1 }),
    (engine) => expect(engine.name).toBe('webgpu'),
  );

  describe('engine webgpu', () => {
    const asked: Cost[] = [];
    let answer = true;
    let engine: Engine;
    const random = seededRandom(5);
    const a = matrix(40, 30, normals(1200, random));
    const b = matrix(40, 20, normals(800, random));
    beforeAll(async () => {
      engine = await createWebgpuEngine(1, (cost) => {
        asked.push(cost);
        return answer;
      });
    });
    afterAll(() => engine.dispose());

    it('counts what has to be sent: not what is held', async () => {
      const held = engine.hold(a);
      asked.length = 0;
      await engine.multiply(a, b, { transposeA: true });
      await engine.multiply(held, b, { transposeA: true });
      await engine.gram(a);
      expect(asked).toEqual([
        { flops: 2 * 40 * 30 * 20, sent: 4 * (1200 + 800), received: 4 * 600 },
        { flops: 2 * 40 * 30 * 20, sent: 4 * 800, received: 4 * 600 },
        { flops: 2 * 40 * 30 * 30, sent: 4 * 1200, received: 8 * 900 },
      ]);
      held.dispose();
    });

    it('multiplies a held matrix on the device and on the host, in any order', async () => {
      const held = engine.hold(a);
      const results: Float32Array[] = [];
      for (answer of [false, true, false, true]) {
        results.push((await engine.multiply(held, b, { transposeA: true })).data);
      }
      answer = true;
      const [host, device, ...rest] = results;
      expect(rest).toEqual([host, device]);
      device?.forEach((x, i) => expect(x).toBeCloseTo(host?.[i] ?? NaN, 4));
      held.dispose();
    });

    it('runs the networks of a job on the device', async () => {
      const files = await writeFiles(scratch());
      const onDevice: Runner[] = [];
      const open = vi.spyOn(Runner, 'open').mockImplementation(async (...given) => {
        const runner = await realOpen(...given);
        if (given[1].device === 'webgpu') onDevice.push(runner);
        return runner;
      });
      const method = { layers: { include: ['conv1'] }, samples: 100, max_iterations: 2, distillation_passes: 0 };
      const job = (name: EngineChoice) =>
        compressLocally({
          ...localOptions(files, scratch(), {
            target: { parameter_ratio: 1.5 },
            method,
            benchmark: { batch_sizes: [1] },
          }),
          engine: name,
        });
      const [device, host] = [await job('webgpu'), await job('onnxruntime')];
      open.mockRestore();
      expect(onDevice.length).toBeGreaterThan(3);
      expect(new Set(onDevice.map(({ device }) => device))).toEqual(new Set(['webgpu']));
      expect(device.metrics.parameters).toEqual(host.metrics.parameters);
      expect(device.metrics.fidelity.relative_error).toBeCloseTo(host.metrics.fidelity.relative_error, 3);
    });

    it('computes the gradients of distillation there, of a pooling as well', async () => {
      const directory = scratch();
      const model = await loadModel(writeProto(plantedNetwork(), directory), { directory, limits: LIMITS });
      const samples = new Map([['x', { dims: [4, 3, SIDE, SIDE], data: normals(4 * 3 * SIDE * SIDE, random) }]]);
      const gradientsOn = async (device: RuntimeDevice) => {
        const options = { weights: new Set(['w0', 'w2', 'wf']), losses: ['logits'], samples };
        const student = await TrainableNetwork.open(model, options, { threads: 1, device });
        const target = { dims: [4, 5], data: new Float32Array(20) };
        const { gradients } = await student.differentiate(samples, new Map([['logits', { weight: 1, target }]]));
        await student.release();
        return gradients;
      };
      const warned = vi.spyOn(process, 'emitWarning');
      const [device, host] = [await gradientsOn('webgpu'), await gradientsOn('cpu')];
      // Nothing came from the processor instead.
      expect(warned).not.toHaveBeenCalled();
      warned.mockRestore();
      for (const [name, expected] of host) {
        const scale = Math.max(...expected.map(Math.abs));
        device.get(name)?.forEach((value, i) => expect(value / scale).toBeCloseTo((expected[i] ?? NaN) / scale, 4));
      }
      expect([...device.keys()]).toEqual([...host.keys()]);
    });

    it('does not know a matrix any more that it held', async () => {
      const held = engine.hold(a);
      held.dispose();
      await expect(engine.multiply(held, b, { transposeA: true })).rejects.toThrow();
    });
  });
} else {
  it.skip(`engine webgpu: ${absent}`, () => undefined);
}

it('says that there is no GPU where no driver is found', { skip: process.platform !== 'linux' }, async () => {
  const engines = join(import.meta.dirname, '../../dist/engines/index.js');
  const script = `const { createEngine } = await import(${JSON.stringify(engines)});
    await createEngine('webgpu', { threads: 1 }).catch((error) => console.log(error.code, error.message));`;
  const none = { VK_DRIVER_FILES: '/nowhere', VK_ICD_FILENAMES: '/nowhere' };
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
    env: { ...process.env, ...none },
  });
  expect(stdout).toMatch(/^unavailable the engine webgpu needs a GPU .*there is none with a working driver/);
});

describe('auto', () => {
  it('does not take webgpu, which was not faster', async () => {
    const engine = await createEngine('auto' satisfies EngineChoice, { threads: 1 });
    expect(engine.name).not.toBe('webgpu');
    await engine.dispose();
  });
});

describe('where a product is computed', () => {
  const cost = (rows: number, inner: number, cols: number, held: boolean): Cost => ({
    flops: 2 * rows * inner * cols,
    sent: 4 * (inner * cols + (held ? 0 : rows * inner)),
    received: 4 * rows * cols,
  });
  it.each([
    ['a small layer', cost(5000, 576, 64, true), { few: false, many: false }],
    ['a large layer whose samples are held', cost(5000, 4608, 512, true), { few: true, many: false }],
    ['a large layer whose samples are sent', cost(5000, 4608, 512, false), { few: true, many: false }],
    ['a layer of 4096 outputs', cost(2500, 9216, 4096, true), { few: true, many: false }],
    ['a square product of 8192', cost(8192, 8192, 8192, true), { few: true, many: true }],
    ['a whitened layer in its iterations', cost(5000, 512, 512, true), { few: false, many: false }],
  ])('%s', (_, asked, expected) => {
    expect({ few: expectedFaster(2)(asked), many: expectedFaster(16)(asked) }).toEqual(expected);
  });
});
