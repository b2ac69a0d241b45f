import { setTimeout as sleep } from 'node:timers/promises';

/** Waits until `condition` holds; an error that names it when it does not in time. */
export async function until(what: string, condition: () => boolean | Promise<boolean>, seconds = 120): Promise<void> {
  for (const deadline = Date.now() + seconds * 1000; Date.now() < deadline; await sleep(20)) {
    if (await condition()) return;
  }
  throw new Error(`it did not happen within ${seconds} seconds: ${what}`);
}
