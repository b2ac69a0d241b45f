import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { auditJob } from '../../bench/siege/audit.js';
import { Deployment } from '../../bench/siege/deployment.js';
import { KILLS } from '../../bench/siege/faults.js';
import { OWN_FAULTS } from '../../bench/siege/own-faults.js';
import { besiege } from '../../bench/siege/siege.js';
import { openSubmitter } from '../../bench/siege/submit.js';
import type { JobFiles } from '../../bench/support/files.js';
import { writeSynthetic } from '../../bench/support/synthetic.js';
import { KILL_POINTS } from '../../src/fault-injection/kill-point.js';
import { hasRedis } from '../support/redis.js';
import { until } from '../support/until.js';

const SEED = 7;

/** Processes, their environments and their deaths are read from /proc. */
describe.runIf(process.platform === 'linux' && hasRedis())('every accepted job ends exactly once', () => {
  let folder: string;
  let files: JobFiles;
  let deployment: Deployment;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sparank-siege-files-'));
    files = await writeSynthetic(folder, 2, 32);
    deployment = await Deployment.start();
  });
  afterAll(async () => {
    await deployment.remove();
    await rm(folder, { recursive: true, force: true });
  });

  it.each(KILL_POINTS)('when a process is killed at: %s', async (point) => {
    const { submit } = await openSubmitter(deployment, files);
    const marker = join(deployment.killDir, point);
    await writeFile(marker, '');
    const job = await submit();
    await until('a process has died there', () => !existsSync(marker));
    const audit = await auditJob(deployment, { ...job, canceled: false }, 90);
    expect(audit.faults).toEqual([]);
    expect(audit.status).toBe('succeeded');
  });
});

/** A worker with a full disk (where one may be mounted), and one with a secret that its storage refuses. */
describe.runIf(process.platform === 'linux')('when one worker has a fault of its own', () => {
  it('it holds no task, says what is wrong, and every job ends once', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sparank-siege-files-'));
    const deployment = await Deployment.start({}, { redis: false });
    try {
      const report = await besiege(deployment, await writeSynthetic(folder, 2, 32), {
        seed: SEED,
        jobs: 2,
        pauseMs: 100,
        goOn: (done) => done < 2,
        faults: OWN_FAULTS,
        first: OWN_FAULTS,
      });
      expect(report.wrong).toEqual([]);
      expect([...report.exits]).toEqual([]);
      expect(report.accepted).toBeGreaterThan(0);
    } finally {
      await deployment.remove();
      await rm(folder, { recursive: true, force: true });
    }
  });
});

const RANDOM_KILLS = 9;

/**
 * The queue in PostgreSQL: nothing has to be installed. bench/crash.ts does the same for longer, and to more than
 * processes.
 */
describe.runIf(process.platform === 'linux')('when processes are killed at random moments', () => {
  it('every accepted job ends once with the bytes of its attempt, and no process or file is left', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sparank-siege-files-'));
    const deployment = await Deployment.start({}, { redis: false });
    try {
      const report = await besiege(deployment, await writeSynthetic(folder, 3, 32), {
        seed: SEED,
        jobs: 2,
        pauseMs: 400,
        goOn: (done) => done < RANDOM_KILLS,
        faults: KILLS,
        first: KILLS,
      });
      expect(report.wrong).toEqual([]);
      expect([...report.exits]).toEqual([]);
      expect(report.accepted).toBeGreaterThan(0);
      expect([...report.faults.values()].reduce((sum, n) => sum + n)).toBe(RANDOM_KILLS);
      expect(report.restarts).toBeGreaterThanOrEqual(2);
    } finally {
      await deployment.remove();
      await rm(folder, { recursive: true, force: true });
    }
  });
});
