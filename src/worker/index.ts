export { startWorker, type RunningWorker, type WorkerDeps } from './worker.js';
export { builtModule } from './built-module.js';
export { ComputeError, ComputeProcess } from './compute-process.js';
export { stepLimits } from './limits.js';
export { findDevice } from './device.js';
