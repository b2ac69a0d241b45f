import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DEVICE_WARNING, deviceOfNetworks } from '../../../engines/index.js';
import { serializeError } from '../../../errors/classify.js';
import { killPoint } from '../../../fault-injection/kill-point.js';
import { peakMemoryBytes, resetPeakMemory } from '../../../observability/peak-memory.js';
import type { RunStep } from '../../../pipeline/step.js';
import type { FromChild, StepRequest, ToChild } from './protocol.js';
import { storable } from '../../../errors/storable.js';
import { dieWithParent } from './watchdog.js';

/** Progress messages closer together than this are dropped. */
const PROGRESS_MS = 200;

function send(message: FromChild): Promise<void> {
  return new Promise((sent) => {
    if (process.send) process.send(message, undefined, undefined, () => sent());
    else sent();
  });
}

async function serve(runStep: RunStep, run: number, request: StepRequest): Promise<void> {
  resetPeakMemory();
  const onWarning = ({ name, message }: Error) => {
    if (name === DEVICE_WARNING) void send({ type: 'warning', run, text: storable(message) });
  };
  process.on('warning', onWarning);
  const started = performance.now();
  const usage = () => ({ seconds: (performance.now() - started) / 1000, peakRssBytes: peakMemoryBytes() });
  let last = -Infinity;
  try {
    await mkdir(join(request.directory, 'output'), { recursive: true });
    const result = await runStep(request.assignment, {
      path: (key) => {
        const path = request.paths[key];
        if (path === undefined) throw new Error(`the step asks for ${key}, which was not fetched for it`);
        return path;
      },
      directory: request.directory,
      // A canceled step is killed with its process, so nothing ever aborts this.
      signal: new AbortController().signal,
      progress: (fraction) => {
        if (request.assignment.kind === 'layer') killPoint('solving');
        const now = performance.now();
        if (now - last < PROGRESS_MS) return;
        last = now;
        void send({ type: 'progress', run, fraction });
      },
      limits: request.limits,
      engine: request.engine,
      threads: request.threads,
      device: deviceOfNetworks(request.engine),
    });
    // What is told of a client's files leaves this process in a form that can be kept and shown.
    await send({ type: 'done', run, result: storable(result), usage: usage() });
  } catch (error) {
    const stack = error instanceof Error ? (error.stack ?? null) : null;
    await send({ type: 'failed', run, error: serializeError(error), stack, usage: usage() });
  } finally {
    process.off('warning', onWarning);
  }
}

/** Serves one step at a time over IPC until the parent goes. */
export function serveSteps(runStep: RunStep): void {
  // Ctrl-C reaches the whole process group; the parent decides when the child ends.
  process.on('SIGINT', () => undefined);
  process.on('SIGTERM', () => undefined);
  dieWithParent(Number(process.env['SPARANK_PARENT_PID'] ?? process.ppid));
  process.on('message', (message: ToChild) => void serve(runStep, message.run, message.request));
  void send({ type: 'ready' });
}
