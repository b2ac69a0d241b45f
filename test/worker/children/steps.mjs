/**
 * A compute process with steps that misbehave on purpose: the label `behave` of the assignment says how.
 * It serves them with the same code as the real one.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { serveSteps } from '../../../dist/worker/compute/child/serve.js';
import { InputError } from '../../../dist/errors/index.js';

function busyFor(ms) {
  // Blocks the main thread as a native call does.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

const BEHAVIOURS = {
  async work(assignment, context) {
    context.progress(0.5);
    writeFileSync(join(context.directory, 'output', 'result.bin'), `result of ${assignment.taskId}`);
    return { layers: [] };
  },
  async given(assignment, context) {
    writeFileSync(join(context.directory, 'output', 'result.bin'), `result of ${assignment.taskId}`);
    return JSON.parse(assignment.labels.results)[assignment.kind];
  },
  async warn() {
    process.emitWarning('no GPU', 'DeviceWarning');
    process.emitWarning('something old', 'DeprecationWarning');
    await new Promise((done) => setTimeout(done, 50));
    return { layers: [] };
  },
  async abort() {
    process.abort();
  },
  async exit() {
    process.exit(7);
  },
  async outOfMemory() {
    process.kill(process.pid, 'SIGKILL');
    await new Promise(() => undefined);
  },
  async input() {
    throw new InputError('invalid_model', 'the weights hold NaN', {
      layer: 'conv1',
      faults: [{ pointer: '#model/conv1', detail: 'NaN' }],
    });
  },
  async bug() {
    throw new TypeError('undefined is not a function');
  },
  async busy(_assignment, context) {
    writeFileSync(join(context.directory, 'busy'), '');
    busyFor(60_000);
    return { layers: [] };
  },
  async idle() {
    await new Promise(() => setInterval(() => undefined, 1000));
  },
  async memory() {
    const block = Buffer.alloc(200 * 2 ** 20, 1);
    return { layers: [], kept: block.length };
  },
};

serveSteps((assignment, context) => BEHAVIOURS[assignment.labels.behave](assignment, context));
