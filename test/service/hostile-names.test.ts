import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { follow, silent } from '../../src/cli/display/follow.js';
import { form } from '../api/support/form.js';
import { fileWithMark, MARKS, PLACES } from '../models/hostile-names.js';
import { convNet, npz, samples } from './hostile-files.js';
import { KEY, Stack } from './stack.js';

/** The compressed names of a network go through API, queue, workers, database, report and back. */
describe('a model whose names nobody can write down', () => {
  let stack: Stack;
  let calibration: Buffer;
  beforeAll(async () => {
    calibration = await npz({ x: samples(64) });
    stack = await Stack.start();
  });
  afterAll(async () => {
    await stack.stop();
    await stack.remove();
  });

  async function submit(model: Buffer, key: string) {
    const spec = {
      target: { parameter_ratio: 2 },
      effort: 1,
      method: { samples: 64, max_iterations: 2, inputs: 'symmetric' },
      benchmark: { batch_sizes: [1] },
    };
    const { payload, headers } = form([
      { name: 'spec', content: JSON.stringify(spec) },
      { name: 'model', content: model, filename: 'net.onnx' },
      { name: 'calibration', content: calibration, filename: 'samples.npz' },
    ]);
    const response = await fetch(`${stack.client.url}/jobs`, {
      method: 'POST',
      headers: { ...headers, authorization: `Bearer ${KEY}`, 'idempotency-key': key },
      body: new Uint8Array(payload),
    });
    return { status: response.status, text: await response.text() };
  }

  const get = (path: string) => fetch(stack.client.url + path, { headers: { authorization: `Bearer ${KEY}` } });

  describe.each(PLACES)('in the names of: %s', (place) => {
    it.each(Object.entries(MARKS))('%s', async (what, mark) => {
      const model = fileWithMark(convNet(), place, mark);
      const key = `${place} ${what}`;
      const { status, text } = await submit(model, key);
      // The runtime cannot address such a tensor; whoever sends it again learns the same.
      if (what === 'NUL' && ['tensor', 'weight', 'port'].includes(place)) {
        expect(status, text).toBe(422);
        expect(text).toContain('U+0000');
        return;
      }
      expect(status, text.slice(0, 1000)).toBe(202);
      const { id } = JSON.parse(text) as { id: string };
      const job = await follow(stack.sparank, id, silent);
      expect(job.status, JSON.stringify(job.error)).toBe('succeeded');
      const tasks = await stack.tasks(id);
      expect(tasks.filter(({ attempt }) => attempt > 1)).toEqual([]);
      for (const path of ['', '/layers', '/events', '/artifacts/report.json']) {
        const body = await (await get(`/jobs/${id}${path}`)).text();
        expect(body.length).toBeLessThan(200_000);
        expect(JSON.stringify(JSON.parse(body))).not.toMatch(/\\u0000|\\ud800/);
      }
    });
  });
});
