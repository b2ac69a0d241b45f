import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { buildProgram } from '../../src/cli/program.js';
import { createJob } from '../support/jobs.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { startService, type TestService } from '../api/support/service.js';

let postgres: TestPostgres;
let service: TestService;
let url: string;
let out: string;
beforeAll(async () => {
  postgres = await startPostgres();
  service = await startService(postgres);
  url = await service.app.listen({ port: 0, host: '127.0.0.1' });
});
afterAll(async () => {
  await service.close();
  await postgres.stop();
});
beforeEach(() => {
  out = '';
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    out += String(text);
    return true;
  });
  return () => write.mockRestore();
});

async function sparank(...args: string[]): Promise<string> {
  out = '';
  const key = service.keys.all.replace('Bearer ', '');
  await buildProgram().parseAsync(['node', 'sparank', ...args, '--url', url, '--api-key', key]);
  return out;
}

test("an operator lists and cancels any team's job, drains a worker, removes the team and finds all of it in the log", async () => {
  const { database } = service;
  await database.workers.upsert({ id: 'wrk_a', engine: 'onnxruntime', device: 'cpu', threads: 1, slots: 1 });
  const { id } = await createJob(database, {}, 'team_other');
  expect(await sparank('admin', 'jobs', '--team', 'team_other')).toMatch(new RegExp(`^${id}  team_other  queued`));
  expect(JSON.parse(await sparank('admin', 'job', id))).toMatchObject({ id, team_id: 'team_other' });
  expect(await sparank('admin', 'cancel', id)).toBe(`${id} canceled\n`);
  expect(await sparank('workers', 'list')).toBe('wrk_a  onnxruntime  idle\n');
  expect(await sparank('workers', 'drain', 'wrk_a')).toMatch(/^wrk_a {2}onnxruntime {2}idle {2}draining since 20/);
  expect(await sparank('workers', 'drain', 'wrk_a', '--undo')).toBe('wrk_a  onnxruntime  idle\n');
  expect(await sparank('teams', 'remove', 'team_other', '--cancel-jobs')).toBe('team_other removed\n');
  const log = await sparank('admin', 'audit', '--limit', '4');
  expect(log.split('\n').slice(0, 4)).toEqual(
    ['team.removed', 'worker.undrained', 'worker.drained', 'job.canceled'].map((action) =>
      expect.stringMatching(new RegExp(` ${action} .* by spk_test… of team_default$`)),
    ),
  );
  expect(log).toMatch(/there are more: --limit, or --after \d+/);
  await expect(sparank('teams', 'remove', 'team_other')).rejects.toThrow('there is no such team');
});
