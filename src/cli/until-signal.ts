import { EXIT } from './exit-codes.js';
import { isRunByNpm, npmGone } from './npm-parent.js';

/**
 * Resolves at the first SIGINT or SIGTERM; a second one ends the process at once. As a script of npm, which does not
 * pass signals on, the process stops with npm.
 */
export function untilSignal(environment = process.env): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let signals = 0;
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => {
        if (++signals > 1) process.exit(EXIT.interrupted);
        resolve(signal);
      });
    }
    // Not counted: with Ctrl-C npm goes too.
    if (isRunByNpm(environment)) void npmGone().then(() => resolve('SIGTERM'));
  });
}
