import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { fuzzedFile, KINDS } from '../../bench/fuzz/files.js';
import { readFuzzed } from '../../bench/fuzz/read.js';

const FILES = 2000;
/** The native runtime sees one in so many. */
const RUN_EVERY = 100;

it(`${String(FILES)} damaged models, archives and datasets are each usable or refused as bad input`, async () => {
  const outcomes = new Map<string, number>();
  for (let number = 0; number < FILES; number++) {
    const file = fuzzedFile(7, number);
    const directory = await mkdtemp(join(tmpdir(), 'sparank-fuzz-'));
    try {
      const outcome = await readFuzzed(file, directory, { run: number % RUN_EVERY === 0 });
      const name = `${file.kind} ${outcome}`;
      outcomes.set(name, (outcomes.get(name) ?? 0) + 1);
    } catch (cause) {
      throw new Error(`file ${String(number)} (${file.kind}, ${file.how})`, { cause });
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }
  // Some of every kind get through and some do not, or this shows little.
  for (const kind of KINDS)
    for (const outcome of ['usable', 'refused']) expect(outcomes.get(`${kind} ${outcome}`)).toBeGreaterThan(10);
});
