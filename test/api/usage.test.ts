import { afterAll, beforeAll, expect, test } from 'vitest';
import { createJob, finishNext } from '../support/jobs.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { runSql } from '../support/teams.js';
import { expectProblem, startService, upload, type TestService } from './support/service.js';

let postgres: TestPostgres;
let service: TestService;
let first: string;
const FORMULA = '=HYPERLINK("http://evil.example","x")';

interface Row {
  day: string | null;
  team_id: string | null;
  job_id: string | null;
  label: string | null;
  jobs: number;
  tasks: number;
  device_seconds: number;
  upload_bytes: number;
  artifact_bytes: number;
}
interface Usage {
  from: string;
  to: string;
  data: Row[];
  total: Partial<Row>;
}

const usage = async (query: string) => {
  const response = await service.call('GET', `/usage?${query}`);
  expect(response.statusCode, response.body).toBe(200);
  return response.json<Usage>();
};

/** A job of the team whose first task takes `seconds` of a device. */
async function run(teamId: string, labels: Record<string, string>, seconds: number): Promise<string> {
  const { id } = await createJob(service.database, { labels }, teamId);
  const [task] = (await service.database.pool.release()) ?? [];
  const assignment = task === undefined ? null : await service.database.pool.claim(task.taskId, task.attempt, 'wrk_a');
  if (assignment === null) throw new Error('nothing to claim');
  await runSql(
    service.database.url,
    'update tasks set started_at = clock_timestamp() - make_interval(secs => $2) where id = $1',
    [assignment.taskId, seconds],
  );
  await service.database.pool.requeue(assignment.taskId, assignment.attempt);
  while ((await service.database.jobs.get(teamId, id))?.status !== 'succeeded') await finishNext(service.database, 0);
  return id;
}

beforeAll(async () => {
  postgres = await startPostgres();
  service = await startService(postgres);
  await upload(service, 'twelve bytes');
  first = await run('team_default', { project: 'search' }, 100);
  await run('team_default', { project: FORMULA, line: 'a "quoted", b\nc' }, 30);
  await run('team_default', {}, 5);
  await run('team_other', { project: 'search' }, 1000);
});
afterAll(async () => {
  await service.close();
  await postgres.stop();
});

const today = () => new Date().toISOString().slice(0, 10);

test('sums device seconds, jobs and bytes of the team by day', async () => {
  const { data, total, from, to } = await usage('');
  expect(to).toBe(today());
  expect(Date.parse(to) - Date.parse(from)).toBe(29 * 86_400_000);
  expect(data).toHaveLength(1);
  expect(data[0]).toMatchObject({ day: today(), team_id: null, job_id: null, label: null, jobs: 3 });
  // The team has deleted nothing so far.
  const uploads = (await service.database.teams.usage('team_default')).storageBytes - 18;
  expect(uploads).toBeGreaterThanOrEqual(12);
  expect(data[0]?.upload_bytes).toBe(uploads);
  expect(data[0]?.artifact_bytes).toBe(18);
  // Three jobs of four steps, and an attempt of each that was handed back.
  expect(data[0]?.tasks).toBe(15);
  expect(data[0]?.device_seconds).toBeGreaterThan(135);
  expect(data[0]?.device_seconds).toBeLessThan(140);
  expect(total).toEqual({
    jobs: 3,
    tasks: 15,
    device_seconds: data[0]?.device_seconds,
    upload_bytes: uploads,
    artifact_bytes: 18,
  });
});

test('by job, by label, by team, and by several', async () => {
  const byJob = await usage('by=job');
  expect(byJob.data).toHaveLength(4);
  expect(byJob.data.find(({ job_id }) => job_id === first)).toMatchObject({ jobs: 1, artifact_bytes: 6 });
  const byLabel = (await usage('by=label&label=project')).data;
  expect(byLabel.map(({ label }) => label)).toEqual([FORMULA, 'search', null]);
  const all = (await usage('by=day,team&team=all')).data;
  expect(all.map(({ team_id, jobs }) => [team_id, jobs])).toEqual([
    ['team_default', 3],
    ['team_other', 1],
  ]);
  expect((await usage('team=team_other')).total.device_seconds).toBeGreaterThan(1000);
});

test('stays when a job is deleted, and goes by the day', async () => {
  const before = await usage('');
  expect((await service.call('DELETE', `/jobs/${first}`)).statusCode).toBe(204);
  expect((await usage('')).total).toEqual(before.total);
  expect((await usage('by=job')).data.map(({ job_id }) => job_id)).toContain(first);
  expect((await usage('from=2020-01-01&to=2020-12-31')).data).toEqual([]);
});

test('comes as CSV that a spreadsheet reads as text', async () => {
  for (const [query, headers] of [
    ['&format=csv', {}],
    ['', { accept: 'text/csv' }],
  ] as const) {
    const response = await service.call('GET', `/usage?by=label&label=project${query}`, { headers });
    expect(response.headers['content-type']).toBe('text/csv; charset=utf-8');
    expect(response.headers['content-disposition']).toMatch(/^attachment; filename="usage-\d{4}-.*\.csv"$/);
    const lines = response.body.split('\r\n');
    expect(lines[0]).toBe('day,team_id,job_id,label,jobs,tasks,device_seconds,upload_bytes,artifact_bytes');
    expect(lines[1]).toMatch(/^,,,"'=HYPERLINK\(""http:\/\/evil\.example"",""x""\)",1,5,/);
    expect(lines).toHaveLength(5);
  }
  const quoted = await service.call('GET', '/usage?by=label&label=line&format=csv');
  expect(quoted.body).toContain('"a ""quoted"", b\nc"');
});

test.each([
  ['by=colour', '#query/by'],
  ['by=label', '#query/label'],
  ['label=x', '#query/label'],
  ['from=yesterday', '#query/from'],
  ['to=2026-02-30', '#query/to'],
  ['from=2026-02-02&to=2026-02-01', '#query/from'],
  ['from=2020-01-01&to=2026-02-01', '#query/from'],
  ['format=xml', '#query/format'],
])('refuses %s with a pointer', async (query, pointer) => {
  const problem = expectProblem(await service.call('GET', `/usage?${query}`), 400, 'invalid_request');
  expect(problem.errors?.[0]?.pointer).toBe(pointer);
});
