import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Command } from 'commander';

const PEERS = fileURLToPath(new URL('../peers/', import.meta.url));
const OUTPUT_BYTES = 2 ** 24;

export function addPython(command: Command): Command {
  return command.option(
    '--python <program>',
    'with bench/peers/requirements.txt installed',
    process.env['PEERS_PYTHON'] ?? 'python3',
  );
}

/** Runs a script of bench/peers and returns the JSON of its last line. */
export async function runPeer(python: string, script: string, args: readonly string[]): Promise<unknown> {
  const run = promisify(execFile);
  const { stdout } = await run(python, ['-W', 'ignore', `${PEERS}${script}`, ...args], { maxBuffer: OUTPUT_BYTES });
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
}

/** Why a peer gave nothing, in a line: scripts end with it. */
export function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.trim().split('\n').at(-1) ?? '';
}
