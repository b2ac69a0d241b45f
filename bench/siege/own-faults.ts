import type { ChildProcess } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../src/database/embedded/server.js';
import type { WorkerHealth } from '../../src/worker/index.js';
import type { Deployment } from './deployment.js';
import { openDisk } from './disk.js';
import type { Fault } from './faults.js';

/** What befalls one worker alone: it must give back what it has, take nothing more, and be no trouble to the others. */

const START_SECONDS = 60;
/** Until it has a task, while jobs are in flight. */
const TASK_SECONDS = 60;
const LEASES = 2;
const LOOK_MS = 100;

interface ExtraWorker {
  process: ChildProcess;
  /** Null when it does not answer. */
  health(): Promise<{ status: number; worker: WorkerHealth } | null>;
}

async function startExtra(deployment: Deployment, environment: NodeJS.ProcessEnv): Promise<ExtraWorker> {
  const port = await freePort();
  const process = deployment.startExtra({ ...environment, METRICS_PORT: String(port) });
  return {
    process,
    async health() {
      try {
        const answer = await fetch(`http://127.0.0.1:${String(port)}/healthz`, { signal: AbortSignal.timeout(5000) });
        const { workers } = (await answer.json()) as { workers: WorkerHealth[] };
        const [worker] = workers;
        return worker === undefined ? null : { status: answer.status, worker };
      } catch {
        return null;
      }
    },
  };
}

/** Whether it came to this state; a worker that another fault has killed does not. */
async function comesTo(
  extra: ExtraWorker,
  state: WorkerHealth['state'],
  seconds: number,
): Promise<WorkerHealth | null> {
  for (const deadline = Date.now() + seconds * 1000; Date.now() < deadline; await sleep(LOOK_MS)) {
    if (extra.process.exitCode !== null || extra.process.signalCode !== null) return null;
    const found = await extra.health();
    if (found?.worker.state === state) return found.worker;
  }
  return null;
}

async function expectsNothingHeld(deployment: Deployment, { id, trouble }: WorkerHealth): Promise<void> {
  await sleep(LEASES * deployment.leaseSeconds * 1000);
  const held = await deployment.query("select id from tasks where worker_id = $1 and state = 'running'", [id]);
  if (held.length > 0) throw new Error(`${id} holds a task although it is out of service: ${JSON.stringify(trouble)}`);
}

const stop = (extra: ExtraWorker) =>
  new Promise<void>((done) => {
    if (extra.process.exitCode !== null || extra.process.signalCode !== null) return done();
    extra.process.once('close', () => done());
    extra.process.kill('SIGTERM');
  });

let count = 0;

export const OWN_FAULTS: Fault[] = [
  {
    name: 'the disk of one worker full',
    weight: 1,
    async run(deployment) {
      if (!deployment.disk.canFill) return false;
      const disk = await openDisk(join(deployment.directory, `own-${String(count++)}`), 128);
      const extra = await startExtra(deployment, { DATA_DIR: join(disk.path, 'data'), CACHE_BYTES: '0' });
      try {
        if ((await comesTo(extra, 'in_service', START_SECONDS)) === null) return false;
        await disk.fill();
        const out = await comesTo(extra, 'out_of_service', TASK_SECONDS);
        if (out === null) return false;
        if ((await extra.health())?.status === 200) throw new Error('a worker with a full disk says that it is well');
        await expectsNothingHeld(deployment, out);
        await disk.clear();
        const gone = () => extra.process.exitCode !== null || extra.process.signalCode !== null;
        if ((await comesTo(extra, 'in_service', START_SECONDS)) === null && !gone())
          throw new Error('a worker whose disk has room again stays out of service');
        return true;
      } finally {
        await stop(extra);
        await disk.close();
      }
    },
  },
  {
    name: 'a wrong secret at one worker',
    weight: 1,
    async run(deployment) {
      const store = createServer((request, response) => {
        request.resume();
        response.writeHead(403, { 'content-type': 'application/xml' });
        response.end(
          '<Error><Code>SignatureDoesNotMatch</Code><Message>The signature does not match</Message></Error>',
        );
      });
      await new Promise<void>((done) => store.listen(0, '127.0.0.1', done));
      const { port } = store.address() as AddressInfo;
      const endpoint = encodeURIComponent(`http://127.0.0.1:${String(port)}`);
      const extra = await startExtra(deployment, {
        DATA_DIR: join(deployment.directory, `own-${String(count++)}`),
        STORAGE_URL: `s3://id:wrong@files?endpoint=${endpoint}&path_style=true`,
      });
      try {
        const out = await comesTo(extra, 'out_of_service', START_SECONDS);
        if (out === null) return false;
        await expectsNothingHeld(deployment, out);
        const taken = await deployment.query('select id from tasks where worker_id = $1', [out.id]);
        if (taken.length > 0) throw new Error(`${out.id} took a task with a secret that the storage refuses`);
        return true;
      } finally {
        await stop(extra);
        await new Promise<void>((done) => {
          store.close(() => done());
          store.closeAllConnections();
        });
      }
    },
  },
];
