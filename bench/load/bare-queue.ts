import type { Backend } from '../../src/queue/bullmq-queue.js';
import { quantile } from '../support/numbers.js';

const NAME = 'bare';

export interface BareQueue {
  /** From the call of `add` to the handler, one message at a time. */
  p50Ms: number;
  p99Ms: number;
  /** Of a message in a row of many: added, taken, handled by doing nothing, removed. */
  wallMs: number;
  cpuMs: number;
}

/** BullMQ with the service's options, and nothing around it: one queue, one worker, in this process. */
export async function bareQueue(backend: Backend, single: number, many: number): Promise<BareQueue> {
  const { queue } = backend.openQueue(NAME);
  queue.on('error', () => undefined);
  let taken = (_: string) => {};
  const worker = backend.createWorker(NAME, ({ data }) => Promise.resolve(taken(data.taskId)), 1);
  worker.on('error', () => undefined);
  await worker.waitUntilReady();
  const add = (id: string) => queue.add('task', { taskId: id, attempt: 1 }, { jobId: id });
  const handled = (id: string) =>
    new Promise<void>((done) => {
      taken = (which) => which === id && done();
    });
  const times: number[] = [];
  for (let i = 0; i < single; i++) {
    const id = `single-${i}`;
    const seen = handled(id);
    const begun = performance.now();
    const added = add(id);
    await seen;
    times.push(performance.now() - begun);
    await added;
  }
  const cpu = process.cpuUsage();
  const begun = performance.now();
  const last = new Promise<void>((done) => {
    let left = many;
    taken = () => --left === 0 && done();
  });
  for (let i = 0; i < many; i++) await add(`many-${i}`);
  await last;
  const wallMs = (performance.now() - begun) / many;
  const used = process.cpuUsage(cpu);
  await worker.close(false);
  await queue.close();
  return {
    p50Ms: quantile(times, 0.5),
    p99Ms: quantile(times, 0.99),
    wallMs,
    cpuMs: (used.user + used.system) / 1000 / many,
  };
}
