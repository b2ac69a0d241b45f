/** A parent that starts a busy step, prints the child's process id and waits to be killed. */
import { ComputeProcess } from '../../dist/worker/compute/compute-process.js';

const [module, request] = process.argv.slice(2);
const compute = new ComputeProcess(module);
compute.run(JSON.parse(request), new AbortController().signal, () => undefined).catch(() => undefined);
// Long enough for the child to have received the step and to be stuck in it.
setTimeout(() => console.log(compute.pid), 700);
