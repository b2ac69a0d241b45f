import { arch, availableParallelism, cpus } from 'node:os';
import type { Config } from '../config.js';

export interface Device {
  engine: string;
  name: string;
  threads: number;
}

/** What this worker computes on. Without THREADS the workers of one process share the cores. */
export function describeDevice(config: Config, workersInProcess: number): Device {
  const shared = Math.max(1, Math.floor(availableParallelism() / Math.max(1, workersInProcess)));
  return {
    engine: config.ENGINE === 'auto' ? 'onnxruntime' : config.ENGINE,
    name: cpus()[0]?.model.trim() || arch(),
    threads: config.THREADS === 0 ? shared : config.THREADS,
  };
}
