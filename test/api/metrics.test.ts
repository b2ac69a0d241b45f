import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { boundTeams } from '../../src/api/plugins/pool-gauges.js';
import { serializeError } from '../../src/errors/classify.js';
import { InfrastructureError, InputError } from '../../src/errors/index.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { startMetricsServer } from '../../src/service/metrics-server.js';
import { claimNext, createJob } from '../support/jobs.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { until } from '../support/until.js';
import { runSql } from '../support/teams.js';
import { startService } from './support/service.js';

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.stop());

const badModel = serializeError(new InputError('invalid_model', 'NaN in the weights'));
const crash = serializeError(new InfrastructureError('compute_failed', 'the compute process ended'));

/** The samples of a page, by name and labels. */
function samples(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}

describe('/metrics', () => {
  test('shows queue depth and the oldest wait per team, workers by engine, and how jobs ended', async () => {
    const service = await startService(postgres, { settings: { TASK_ATTEMPTS: '1' } });
    const { database } = service;
    for (const error of [badModel, crash]) {
      await createJob(database);
      const task = await claimNext(database);
      if (task === null) throw new Error('nothing to claim');
      await database.pool.fail(task.taskId, task.attempt, error);
    }
    await createJob(database);
    await claimNext(database);
    for (let i = 0; i < 3; i++) await createJob(database, {}, 'team_other');
    await runSql(
      database.url,
      "update tasks set not_before = now() - interval '90 seconds' where team_id = 'team_other'",
    );
    await runSql(
      database.url,
      "update tasks set created_at = now() - interval '90 seconds' where team_id = 'team_other'",
    );
    await database.workers.upsert({ id: 'wrk_1', engine: 'onnxruntime', device: 'cpu', threads: 1, slots: 1 });
    const response = await service.call('GET', '/metrics', { key: null });
    expect(response.headers['content-type']).toMatch(/^text\/plain/);
    const seen = samples(response.body);
    const expected = {
      'sparank_team_jobs{team="team_other",state="queued"}': 3,
      'sparank_team_jobs{team="team_default",state="running"}': 1,
      'sparank_team_tasks{team="team_default",state="running"}': 1,
      'sparank_workers{state="idle",engine="onnxruntime"}': 1,
      'sparank_jobs_ended_last_hour{status="failed",origin="input"}': 1,
      'sparank_jobs_ended_last_hour{status="failed",origin="infrastructure"}': 1,
      'sparank_webhooks_pending{state="pending"}': 0,
      'sparank_backend_up{backend="postgres"}': 1,
      'sparank_backend_up{backend="queue"}': 1,
      'sparank_backend_up{backend="storage"}': 1,
      'sparank_class_tasks{device="cpu",class="",state="running"}': 1,
      'sparank_class_tasks{device="gpu",class="",state="waiting"}': 0,
    };
    for (const [name, value] of Object.entries(expected)) expect(seen.get(name), name).toBe(value);
    const waiting = ['waiting', 'released'].map((state) =>
      seen.get(`sparank_team_tasks{team="team_other",state="${state}"}`),
    );
    expect(waiting.reduce((sum: number, n) => sum + (n ?? 0), 0)).toBe(3);
    const oldest = seen.get('sparank_team_oldest_task_seconds{team="team_other"}') ?? 0;
    expect(oldest).toBeGreaterThan(89);
    expect(oldest).toBeLessThan(180);
    // A team without work has no series any more.
    await runSql(database.url, "delete from jobs where team_id = 'team_other'");
    const later = samples((await service.call('GET', '/metrics', { key: null })).body);
    expect([...later.keys()].filter((name) => name.includes('team_other'))).toEqual([]);
    await service.close();
  });

  test('goes on without PostgreSQL, claiming nothing of what it does not know', async () => {
    const service = await startService(postgres);
    await service.call('GET', '/metrics', { key: null });
    service.database.pool.backlog = () => Promise.reject(new Error('no answer'));
    const response = await service.call('GET', '/metrics', { key: null });
    expect(response.statusCode).toBe(200);
    const seen = samples(response.body);
    expect(seen.get('sparank_backend_up{backend="postgres"}')).toBe(0);
    const unknown = /^sparank_(tasks|jobs|workers|team_|webhooks)/;
    expect([...seen.keys()].filter((name) => unknown.test(name))).toEqual([]);
    expect([...seen.keys()].some((name) => name.startsWith('sparank_http_request_duration_seconds_count'))).toBe(true);
    await service.close();
  });

  test('shows a storage that does not answer, and no worker whose process has ended', async () => {
    const service = await startService(postgres, {
      storage: (local) =>
        Object.assign(Object.create(local) as typeof local, { check: () => Promise.reject(new Error('no way')) }),
    });
    const { database } = service;
    for (const id of ['wrk_alive', 'wrk_dead'])
      await database.workers.upsert({ id, engine: 'onnxruntime', device: 'cpu', threads: 1, slots: 1 });
    // One whose process listens, one whose process does not any more.
    const { session } = database.notifications;
    database.notifications.subscribe('worker:wrk_alive', () => undefined);
    await runSql(
      database.url,
      `update workers set last_seen_at = clock_timestamp() - interval '10 seconds', session = case id when 'wrk_alive' then $1 else 'gone' end`,
      [session],
    );
    await until('it listens', async () => (await database.workers.list()).some(({ id }) => id === 'wrk_alive'));
    const seen = samples((await service.call('GET', '/metrics', { key: null })).body);
    expect(seen.get('sparank_backend_up{backend="storage"}')).toBe(0);
    expect(seen.get('sparank_workers{state="idle",engine="onnxruntime"}')).toBe(1);
    const pool = (await service.call('GET', '/pool')).json<{ workers: { id: string }[] }>();
    expect(pool.workers.map(({ id }) => id)).toEqual(['wrk_alive']);
    await service.close();
  });

  test('has as many series for 10,000 teams as for 51', () => {
    const teams = Array.from({ length: 10_000 }, (_, i) => ({
      teamId: `team_${i}`,
      jobsQueued: 1,
      jobsRunning: 2,
      tasksWaiting: 3,
      tasksReleased: 4,
      tasksRunning: 5,
      oldestSeconds: i,
    }));
    const shown = boundTeams(teams);
    expect(shown).toHaveLength(51);
    expect(shown.at(-1)).toEqual({
      team: 'other',
      jobsQueued: 9950,
      jobsRunning: 2 * 9950,
      tasksWaiting: 3 * 9950,
      tasksReleased: 4 * 9950,
      tasksRunning: 5 * 9950,
      oldestSeconds: 9999,
    });
    expect(boundTeams(teams.slice(0, 50))).toHaveLength(50);
  });

  test('has a route for every request, however many paths are tried', async () => {
    const service = await startService(postgres);
    for (let i = 0; i < 20; i++) {
      await service.call('GET', `/jobs/job_${i}`);
      await service.call('GET', `/nothing/${i}`);
    }
    const seen = [...samples((await service.call('GET', '/metrics', { key: null })).body).keys()];
    const counts = seen.filter((name) => name.startsWith('sparank_http_request_duration_seconds_count'));
    expect(
      counts
        .filter((name) => name.includes('404'))
        .map((name) => /route="([^"]+)"/.exec(name)?.[1])
        .sort(),
    ).toEqual(['/jobs/:id', 'none']);
    await service.close();
  });
});

test('a worker process shows its metrics and its liveness at a port of its own, and nothing else', async () => {
  const metrics = createMetrics({ ofProcess: true });
  metrics.task('layer', 'onnxruntime', 'succeeded', 0.7);
  metrics.taskFailure('layer', 'input', 'numerical_breakdown');
  metrics.reconciled('expiredLeases', 0);
  const { url, close } = await startMetricsServer({ HOST: '127.0.0.1', METRICS_PORT: 0 }, metrics);
  const seen = samples(await (await fetch(`${url}/metrics`)).text());
  expect(seen.get('sparank_task_duration_seconds_count{kind="layer",engine="onnxruntime",outcome="succeeded"}')).toBe(
    1,
  );
  expect(seen.get('sparank_task_failures_total{kind="layer",origin="input",code="numerical_breakdown"}')).toBe(1);
  expect(seen.get('sparank_reconciled_total{what="expiredLeases"}')).toBe(0);
  expect(seen.get('process_resident_memory_bytes')).toBeGreaterThan(1e6);
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  expect((await fetch(`${url}/other`)).status).toBe(404);
  expect((await fetch(`${url}/metrics`, { method: 'POST' })).status).toBe(405);
  await close();
});
