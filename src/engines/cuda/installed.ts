import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const LIBRARY = 'libonnxruntime_providers_cuda.so';

/** Whether onnxruntime-node has its CUDA provider: the package comes without, its install script fetches it (`onnxruntime-node-install=cuda12`). */
export function cudaInstalled(): boolean {
  try {
    const bin = join(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'), '..', 'bin');
    return readdirSync(bin, { recursive: true }).some((path) => path.toString().endsWith(LIBRARY));
  } catch {
    return false;
  }
}
