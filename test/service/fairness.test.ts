import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ServiceClient } from '../support/service-client.js';
import { until } from '../support/until.js';
import { writeExample } from './example.js';
import { Stack } from './stack.js';

const FLOOD = 12;
const WORKERS = 2;

describe('two teams on real workers', () => {
  let files: string;
  let stack: Stack;
  let paths: { model: string; calibration: string };
  beforeAll(async () => {
    files = await mkdtemp(join(tmpdir(), 'sparank-fairness-'));
    paths = await writeExample(files);
    stack = await Stack.start();
  });
  afterAll(async () => {
    await stack.stop();
    await stack.remove();
    await rm(files, { recursive: true, force: true });
  });

  async function submitter(client: ServiceClient) {
    const model = { upload: await client.upload(paths.model) };
    const calibration = { upload: await client.upload(paths.calibration) };
    return () =>
      client.submit({
        model,
        calibration,
        target: { parameter_ratio: 2 },
        effort: 1,
        method: { samples: 1000, max_iterations: 5, inputs: 'symmetric' },
        benchmark: { batch_sizes: [1] },
      });
  }

  it('a single job of one starts although the other has flooded the pool, after at most the tasks that were taken', async () => {
    const { id: team } = await stack.client.call<{ id: string }>('POST', '/teams', { name: 'the other' });
    const { key } = await stack.client.call<{ key: string }>('POST', `/teams/${team}/keys`, {
      name: 'pipeline',
      scopes: ['jobs:read', 'jobs:write'],
    });
    const other = new ServiceClient(stack.client.url, key);
    const submitOther = await submitter(other);
    const submit = await submitter(stack.client);
    const flood = [];
    for (let i = 0; i < FLOOD; i++) flood.push((await submit()).id);
    await until(
      'both workers are busy',
      async () => (await stack.query("select from tasks where state = 'running'")).length === WORKERS,
      60,
    );
    const { id } = await submitOther();
    await until('it has started', async () => (await other.job(id))?.job.status !== 'queued');

    const [before] = await stack.query<{ n: number }>(
      `select count(*)::int as n from tasks t
       where t.team_id <> $2 and t.started_at > (select created_at from jobs where id = $1)
         and t.started_at < (select min(started_at) from tasks where job_id = $1)`,
      [id, team],
    );
    const [left] = await stack.query<{ n: number }>(
      "select count(*)::int as n from jobs where team_id <> $1 and status = 'queued'",
      [team],
    );
    console.log(`${before?.n} tasks of the other team began in between, ${left?.n} of its ${FLOOD} jobs still wait`);
    expect(before?.n).toBeLessThanOrEqual(2 * WORKERS);
    expect(left?.n).toBeGreaterThan(FLOOD / 2);
    for (const one of flood) await stack.client.act(one, 'cancel');
    await other.act(id, 'cancel');
  });
});
