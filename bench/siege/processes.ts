import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const COMPUTE = join('compute', 'child', 'main.js');

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

export interface Living {
  pid: number;
  parent: number;
  command: string;
}

/** Every living Node process of the service with this data directory. */
export function livingProcesses(dataDir: string): Living[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      if (!read(`/proc/${name}/environ`).split('\0').includes(`DATA_DIR=${dataDir}`)) return [];
      const command = read(`/proc/${name}/cmdline`).replaceAll('\0', ' ').trim();
      if (command === '') return [];
      const stat = read(`/proc/${name}/stat`);
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      return [{ pid: Number(name), parent, command }];
    });
}

export const computeProcesses = (dataDir: string): Living[] =>
  livingProcesses(dataDir).filter(({ command }) => command.includes(COMPUTE));
