import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inFormat, prepare, saveModel } from '../../src/models/index.js';
import { build, node, scratch, tensorOf } from '../models/graphs.js';
import { filesOf, keras, loadGraph, loadLayers, tf, unzip, zip } from '../models/tfjs/reference.js';
import { hasBrowser, openBrowser } from '../web/browser.js';

const PAGE = join(import.meta.dirname, '../../examples/browser/serve.mjs');

interface Result {
  backend: string;
  outputs: { shape: number[]; values: number[] }[];
  milliseconds: number;
  losses: number[];
}

describe.skipIf(!hasBrowser)('the page that loads a compressed model (skipped where Chromium is not there)', () => {
  let browser: Browser;
  const servers: ChildProcess[] = [];
  beforeAll(async () => {
    browser = await openBrowser();
    await tf.setBackend('cpu');
  });
  afterAll(async () => {
    for (const server of servers) server.kill();
    await browser.close();
  });

  /** What the page has found, and the hosts that it asked. */
  async function open(model: string, hash = ''): Promise<{ result: Result; hosts: Set<string> }> {
    const server = spawn(process.execPath, [PAGE, model, '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
    servers.push(server);
    const [address] = (await once(createInterface(server.stdout), 'line')) as [string];
    const page = await browser.newPage();
    const hosts = new Set<string>();
    page.on('request', (request) => hosts.add(new URL(request.url()).hostname));
    await page.goto(`${address}${hash}`);
    await page
      .getByRole('status')
      .getByText(/^(?!Loading)/)
      .waitFor();
    expect(await page.getByRole('status').textContent()).toBe('Ready');
    const result = (await page.evaluate('window.result')) as Result;
    await page.close();
    return { result, hosts };
  }

  const wave = (dims: number[]) =>
    tf.tensor(
      Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i)),
      dims,
    );

  function expectSame({ outputs }: Result, expected: tf.Tensor): void {
    const [found] = outputs;
    expect(found?.shape).toEqual(expected.shape);
    const values = [...expected.dataSync()];
    found?.values.forEach((value, i) => expect(value).toBeCloseTo(values[i] ?? NaN, 4));
  }

  it('runs a layers-model, and lets it learn', async () => {
    const { layers } = keras;
    const model = keras.sequential({
      layers: [
        layers.conv2d({ inputShape: [16, 16, 3], filters: 8, kernelSize: 3, padding: 'same', activation: 'relu' }),
        layers.globalAveragePooling2d({}),
        layers.dense({ units: 4 }),
      ],
    });
    const files = await filesOf(model);
    const { result, hosts } = await open(await zip(files), '#fit');
    expect(result.backend).toBe('cpu');
    expectSame(result, (await loadLayers(files)).predict(wave([1, 16, 16, 3])) as tf.Tensor);
    expect(result.losses.at(-1)).toBeLessThan(result.losses[0] ?? 0);
    expect([...hosts]).toEqual(['127.0.0.1']);
  });

  it('runs an ONNX model that was written as a graph-model', async () => {
    const onnx = await build({
      input: [3, 8, 8],
      tensors: [tensorOf('w', [6, 3, 3, 3])],
      nodes: [node('Conv', ['x', 'w'], 'c'), node('Relu', ['c'], 'y')],
    });
    const path = join(scratch(), 'model.zip');
    await saveModel(inFormat(prepare(onnx), 'tfjs_graph'), path);
    const { result, hosts } = await open(path);
    expect(result.backend).toBe('wasm');
    expectSame(result, (await loadGraph(await unzip(path))).predict(wave([1, 3, 8, 8])) as tf.Tensor);
    expect([...hosts]).toEqual(['127.0.0.1']);
  });
});
