import { fork } from 'node:child_process';
import { once } from 'node:events';
import { autoHasChoice, engineNames, HOST_ENGINE, type EngineName } from '../../engines/index.js';
import { builtModule } from '../compute/built-module.js';

const LONGEST_MS = 60_000;

/**
 * The engine that `auto` means on this machine. Asked in a process of its own, whose end gives the GPU back; without
 * the package of one that has a GPU there is nothing to ask.
 */
export async function probeEngine(): Promise<EngineName> {
  if (!autoHasChoice()) return HOST_ENGINE;
  const child = fork(builtModule(import.meta.url, '../compute/child/probe.js'), {
    stdio: 'ignore',
    timeout: LONGEST_MS,
  });
  let engine: EngineName = HOST_ENGINE;
  child.on('message', (name) => (engine = engineNames.find((known) => known === name) ?? HOST_ENGINE));
  // One that dies would not compute on a GPU either.
  await once(child, 'exit').catch(() => undefined);
  return engine;
}
