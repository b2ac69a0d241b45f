import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Deployment, KEY } from '../../bench/siege/deployment.js';
import { takeDump } from '../../bench/siege/dump.js';
import { downloadedHash, openSubmitter, untilEnded } from '../../bench/siege/submit.js';
import type { JobFiles } from '../../bench/support/files.js';
import { writeSynthetic } from '../../bench/support/synthetic.js';
import { readConfig } from '../../src/config/index.js';
import { openDatabase } from '../../src/database/index.js';
import { checkStorage } from '../../src/maintenance/storage-check.js';
import { LocalStorage } from '../../src/storage/local-storage.js';
import { quietLog } from '../support/log.js';
import { keysOf } from '../support/storage.js';
import { until } from '../support/until.js';

const SECONDS = 90;

/** The processes are started and looked at through /proc. */
describe.runIf(process.platform === 'linux')('a dump that is restored beside the newer storage', () => {
  let folder: string;
  let files: JobFiles;
  let deployment: Deployment;
  let hold: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sparank-restore-'));
    files = await writeSynthetic(folder, 3, 32);
    hold = join(folder, 'hold');
    // The queue in PostgreSQL: its messages are in the dump, as old as everything else.
    deployment = await Deployment.start({ SPARANK_TEST_HOLD: hold }, { redis: false });
  });
  afterAll(async () => {
    await deployment.remove();
    await rm(folder, { recursive: true, force: true });
  });

  const call = (method: string, path: string, body?: string) =>
    fetch(deployment.client.url + path, {
      method,
      redirect: 'manual',
      headers: { authorization: `Bearer ${KEY}`, ...(body === undefined ? {} : { 'content-type': 'text/plain' }) },
      ...(body === undefined ? {} : { body }),
    });
  const modelOf = async (id: string) => {
    const job = await untilEnded(deployment, id, SECONDS);
    expect([job.status, job.error]).toEqual(['succeeded', null]);
    return downloadedHash(deployment, `/jobs/${id}/artifacts/model.onnx`);
  };
  const send = async (content: string) =>
    ((await (await call('POST', '/uploads?filename=a.bin', content)).json()) as { id: string }).id;

  it('loses what came later, and nothing else: jobs end, what is gone is said to be gone, no file is deleted', async () => {
    const { submit } = await openSubmitter(deployment, files);
    const ended = (await submit()).id;
    const model = await modelOf(ended);
    const lost = await send('deleted after the dump');
    // One in the middle of its layers, one that is queued.
    await writeFile(hold, '0');
    const running = (await submit()).id;
    await until(
      'some layers are done',
      async () =>
        (
          await deployment.query<{ n: number }>(
            "select count(*)::int as n from tasks where job_id = $1 and kind = 'layer' and state = 'succeeded'",
            [running],
          )
        )[0]?.n === 2,
      SECONDS,
    );
    const queued = (await submit()).id;
    const dump = await takeDump(deployment.databaseUrl);

    // Life goes on: both end, and their work files are deleted; files go away; others come.
    await rm(hold);
    expect(await modelOf(running)).toBe(model);
    expect(await modelOf(queued)).toBe(model);
    expect((await call('DELETE', `/jobs/${ended}`)).status).toBe(204);
    expect((await call('DELETE', `/uploads/${lost}`)).status).toBe(204);
    const later = await send('sent after the dump');
    const laterJob = (await submit()).id;
    await modelOf(laterJob);
    const storage = await LocalStorage.open(deployment.storageDir);
    // A job has ended before its work files are deleted.
    await until('work files deleted', async () => (await keysOf(storage)).every((key) => !key.includes('/work/')));
    const before = await keysOf(storage);

    await deployment.restore(dump);
    expect([...deployment.forgotten]).toEqual([laterJob]);
    expect(await modelOf(running)).toBe(model);
    expect(await modelOf(queued)).toBe(model);
    for (const path of [`/jobs/${ended}/artifacts/model.onnx`, `/uploads/${lost}`]) {
      const gone = await call('GET', path);
      expect([path, gone.status, ((await gone.json()) as { code: string }).code]).toEqual([path, 410, 'gone']);
    }
    expect((await call('GET', `/jobs/${laterJob}`)).status).toBe(404);
    expect((await call('GET', `/uploads/${later}`)).status).toBe(404);
    expect(await send('deleted after the dump')).toBe(lost);
    expect((await call('GET', `/uploads/${lost}`)).status).toBe(200);

    // Every file that was there is there, also what the database does not know; and the check tells both apart.
    const kept = new Set(await keysOf(storage));
    expect(before.filter((key) => !kept.has(key))).toEqual([]);
    const database = await openDatabase({ url: deployment.databaseUrl, settings: readConfig({}), logger: quietLog });
    const { missing, unknown } = await checkStorage({ database, storage });
    await database.close();
    expect(new Set(missing.map(({ key }) => key.split('/')[1]))).toEqual(new Set([ended]));
    const jobsOfUnknown = unknown.filter(({ key }) => key.startsWith('jobs/')).map(({ key }) => key.split('/')[1]);
    expect(jobsOfUnknown).toContain(laterJob);
    expect(unknown.filter(({ key }) => key.startsWith('uploads/'))).toHaveLength(1);
  });
});
