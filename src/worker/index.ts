export { startWorker, type RunningWorker, type WorkerDeps, type WorkerHealth } from './worker.js';
export { builtModule } from './compute/built-module.js';
export { ComputeError, ComputeProcess } from './compute/compute-process.js';
export { stepLimits } from './limits.js';
export { findDevice } from './device/device.js';
