/** Reads the files that it is told of, in a process of its own: a native crash or a hang costs only the file. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fuzzedFile } from './files.js';
import { readFuzzed } from './read.js';

/** The native runtime sees one model in so many: it takes most of the time. */
const RUN_EVERY = 20;

export interface ReadOrder {
  seed: number;
  from: number;
  to: number;
}

export interface ReadAnswer {
  number: number;
  /** `begun`, `usable`, `refused`, or what was thrown. */
  outcome: string;
  kind: string;
  how: string;
  rss: number;
}

const send = (answer: ReadAnswer) =>
  new Promise<void>((done) => {
    process.send?.(answer, undefined, undefined, () => done());
  });

process.on('disconnect', () => process.exit(0));
process.on('message', ({ seed, from, to }: ReadOrder) => {
  void (async () => {
    for (let number = from; number < to; number++) {
      const file = fuzzedFile(seed, number);
      const { kind, how } = file;
      const rss = process.memoryUsage.rss();
      await send({ number, outcome: 'begun', kind, how, rss });
      const directory = await mkdtemp(join(tmpdir(), 'sparank-fuzz-'));
      let outcome: string;
      try {
        outcome = await readFuzzed(file, directory, { run: number % RUN_EVERY === 0 });
      } catch (error) {
        outcome = error instanceof Error ? (error.stack ?? error.message) : String(error);
      } finally {
        await rm(directory, { recursive: true, force: true });
      }
      await send({ number, outcome, kind, how, rss: process.memoryUsage.rss() });
    }
    process.disconnect();
  })();
});
