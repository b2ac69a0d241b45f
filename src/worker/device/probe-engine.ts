import { fork } from 'node:child_process';
import { once } from 'node:events';
import { tensorflowInstalled } from '../../engines/index.js';
import { builtModule } from '../compute/built-module.js';

const LONGEST_MS = 60_000;

/**
 * The engine that `auto` means on this machine. Asked in a process of its own, whose end gives the GPU back; without
 * TensorFlow's package there is nothing to ask.
 */
export async function probeEngine(): Promise<string> {
  if (!tensorflowInstalled()) return 'onnxruntime';
  const child = fork(builtModule(import.meta.url, '../compute/child/probe.js'), {
    stdio: 'ignore',
    timeout: LONGEST_MS,
  });
  let engine = 'onnxruntime';
  child.on('message', (name) => (engine = String(name)));
  // One that dies would not compute on a GPU either.
  await once(child, 'exit').catch(() => undefined);
  return engine;
}
