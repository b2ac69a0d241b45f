import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const created: string[] = [];

/** A directory that goes away after the tests of the file. */
export function scratch(): string {
  const directory = mkdtempSync(join(tmpdir(), 'sparank-models-'));
  created.push(directory);
  return directory;
}

export function removeScratch(): void {
  for (const directory of created.splice(0)) rmSync(directory, { recursive: true, force: true });
}
