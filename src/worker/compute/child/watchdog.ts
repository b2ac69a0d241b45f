import { Worker } from 'node:worker_threads';

/** Time between two looks at the parent. */
const POLL_MS = 200;

/**
 * Runs in a thread of its own: the main thread may be inside a native call for seconds, and would learn of the
 * parent's end only afterwards. An orphan's parent id changes on POSIX; elsewhere the signal 0 fails.
 */
const SOURCE = `
const { workerData } = require('node:worker_threads');
const { parent, poll } = workerData;
setInterval(() => {
  let alive = process.ppid === parent;
  if (alive) {
    try { process.kill(parent, 0); } catch (error) { alive = error.code === 'EPERM'; }
  }
  if (!alive) process.kill(process.pid, 'SIGKILL');
}, poll);
`;

/** Ends this process soon after its parent has gone, however it went. */
export function dieWithParent(parent: number): void {
  const thread = new Worker(SOURCE, { eval: true, workerData: { parent, poll: POLL_MS }, execArgv: [] });
  thread.unref();
  process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
}
