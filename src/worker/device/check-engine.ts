import { fork } from 'node:child_process';
import { once } from 'node:events';
import { OwnFaultError } from '../../errors/index.js';
import { builtModule } from '../compute/built-module.js';

const LONGEST_MS = 60_000;

/** Opens an engine in a process of its own. @throws {OwnFaultError} when it cannot compute here */
export async function checkEngine(name: string): Promise<void> {
  const child = fork(builtModule(import.meta.url, '../compute/child/probe.js'), [name], {
    stdio: 'ignore',
    timeout: LONGEST_MS,
  });
  let opened = false;
  child.on('message', () => (opened = true));
  await once(child, 'exit').catch(() => undefined);
  if (!opened) throw new OwnFaultError('compute_failed', `the engine ${name} cannot be opened`);
}
