import { spawnSync } from 'node:child_process';
import { mkdir, open, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';

const SIZE_MIB = 2048;
const CHUNK = 1 << 20;

/** Where storage and scratch files lie; small enough to be filled, where this user may mount one. */
export interface Disk {
  path: string;
  canFill: boolean;
  /** Takes all the space that is left. */
  fill(): Promise<void>;
  clear(): Promise<void>;
  close(): Promise<void>;
}

export async function openDisk(path: string, sizeMib = SIZE_MIB): Promise<Disk> {
  await mkdir(path);
  const mounted =
    spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${String(sizeMib)}m,mode=755`, 'tmpfs', path]).status === 0;
  const filler = join(path, 'filler');
  return {
    path,
    canFill: mounted,
    async fill() {
      if (!mounted) return;
      const file = await open(filler, 'w');
      const chunk = Buffer.alloc(CHUNK, 1);
      try {
        for (;;) {
          const { bavail, bsize } = await statfs(path);
          await file.write(chunk, 0, Math.max(1, Math.min(CHUNK, bavail * bsize)));
        }
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      } finally {
        await file.close();
      }
    },
    clear: () => rm(filler, { force: true }),
    async close() {
      await rm(filler, { force: true });
      if (mounted) spawnSync('umount', ['-l', path]);
    },
  };
}
