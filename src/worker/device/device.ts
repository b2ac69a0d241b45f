import { execFile } from 'node:child_process';
import { arch, availableParallelism, cpus } from 'node:os';
import { promisify } from 'node:util';
import type { Config } from '../../config/index.js';
import { ENGINES } from '../../engines/index.js';
import { probeEngine } from './probe-engine.js';
import type { Offer } from '../../scheduling/worker-classes.js';

export interface Device extends Offer {
  name: string;
  threads: number;
}

type Settings = Pick<Config, 'ENGINE' | 'THREADS' | 'WORKER_CLASS' | 'DEVICE_MEMORY_BYTES'>;

const LONGEST_MS = 10_000;
const MIB = 2 ** 20;
const GIB = 2 ** 30;

/** What this worker computes on. Without THREADS the workers of one process share the cores. */
export async function findDevice(settings: Settings, workersInProcess: number): Promise<Device> {
  const { ENGINE, THREADS, WORKER_CLASS, DEVICE_MEMORY_BYTES } = settings;
  const shared = Math.max(1, Math.floor(availableParallelism() / Math.max(1, workersInProcess)));
  const engine = ENGINE === 'auto' ? await probeEngine() : ENGINE;
  const { processor } = ENGINES[engine];
  const gpu = processor === 'cpu' ? null : await readGpu();
  return {
    engine,
    name: gpu?.name ?? (processor === 'gpu' ? 'GPU' : cpus()[0]?.model.trim() || arch()),
    threads: THREADS === 0 ? shared : THREADS,
    class: WORKER_CLASS ?? null,
    deviceMemoryBytes: DEVICE_MEMORY_BYTES === 0 ? (gpu?.bytes ?? 0) : DEVICE_MEMORY_BYTES,
  };
}

/** The first GPU that this process may use; null without one, or without NVIDIA's tool. */
async function readGpu(): Promise<{ name: string; bytes: number } | null> {
  const visible = process.env['CUDA_VISIBLE_DEVICES']?.split(',')[0]?.trim() ?? '';
  const query = [
    '--query-gpu=name,memory.total',
    '--format=csv,noheader,nounits',
    ...(visible === '' ? [] : ['-i', visible]),
  ];
  try {
    const { stdout } = await promisify(execFile)('nvidia-smi', query, { timeout: LONGEST_MS });
    return parseGpu(stdout);
  } catch {
    return null;
  }
}

/** `NVIDIA H100, 81559`: MiB, down to whole GiB, so that cards of one model form one class. */
export function parseGpu(answer: string): { name: string; bytes: number } | null {
  const [, name, mebibytes] = /^\s*(.+?)\s*,\s*(\d+)\s*$/m.exec(answer) ?? [];
  if (name === undefined || mebibytes === undefined) return null;
  return { name, bytes: Math.floor((Number(mebibytes) * MIB) / GIB) * GIB };
}
