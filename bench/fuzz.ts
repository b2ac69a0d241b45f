/**
 * Damaged files through the readers of .onnx, .zip and .npz: fields of the protobuf, lies in zip directories and .npy
 * headers, cut files, changed bytes. `npx tsx bench/fuzz.ts [--files 100000] [--seed 1] [--from 0]`; every file depends
 * on the seed and its number only. Ends with 1 when one led to anything but use or a refusal as bad input.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import type { ReadAnswer, ReadOrder } from './fuzz/reader-process.js';
import { mib } from './support/numbers.js';
import { note, printMachine, printTable } from './support/table.js';

const READER = fileURLToPath(new URL('./fuzz/reader-process.ts', import.meta.url));
const HANG_MS = 30_000;
const NOTE_EVERY = 10_000;
const FINDINGS_SHOWN = 20;

const command = new Command('bench/fuzz.ts')
  .option('--files <n>', 'how many', '100000')
  .option('--seed <n>', 'of the files', '1')
  .option('--from <n>', 'number of the first file', '0')
  .option('--max-mib <n>', 'memory of the reading process', '768')
  .parse();
const options = command.opts<Record<'files' | 'seed' | 'from' | 'maxMib', string>>();
const to = Number(options.from) + Number(options.files);
const maxBytes = Number(options.maxMib) * 2 ** 20;

const counts = new Map<string, { usable: number; refused: number }>();
const findings: string[] = [];
function found(text: string): void {
  findings.push(text);
  note(text);
}
let peak = 0;
let slowest = 0;

/** Reads from `from` on until the end or until a file ends the process; returns the number to go on with. */
function readFrom(from: number): Promise<number> {
  return new Promise((resolve) => {
    const child: ChildProcess = fork(READER, { execArgv: ['--import', 'tsx', '--max-old-space-size=512'] });
    let at = from;
    let begun = performance.now();
    let ended = '';
    let label = '';
    const watch = setInterval(() => {
      if (performance.now() - begun < HANG_MS) return;
      ended = `no end within ${String(HANG_MS / 1000)} s`;
      child.kill('SIGKILL');
    }, 1000);
    child.on('message', ({ number, outcome, kind, how, rss }: ReadAnswer) => {
      peak = Math.max(peak, rss);
      label = `${kind}, ${how}`;
      if (outcome === 'begun') {
        at = number;
        begun = performance.now();
        return;
      }
      slowest = Math.max(slowest, performance.now() - begun);
      const row = counts.get(label) ?? { usable: 0, refused: 0 };
      counts.set(label, row);
      if (outcome === 'usable' || outcome === 'refused') row[outcome]++;
      else found(`${String(number)} (${label}): ${outcome}`);
      if (rss > maxBytes) found(`${String(number)} (${label}): ${mib(rss)} MiB are in use`);
      at = number + 1;
      if (at % NOTE_EVERY === 0) note(`${String(at)}: ${String(findings.length)} findings, ${mib(peak)} MiB`);
    });
    child.once('close', (code, signal) => {
      clearInterval(watch);
      if (at < to) found(`${String(at)} (${label}): the process ended: ${ended || (signal ?? String(code))}`);
      resolve(at < to ? at + 1 : to);
    });
    child.send({ seed: Number(options.seed), from, to } satisfies ReadOrder);
  });
}

printMachine();
const started = performance.now();
for (let next = Number(options.from); next < to;) next = await readFrom(next);
printTable(
  ['damaged', 'usable', 'refused'],
  [...counts].sort(([a], [b]) => a.localeCompare(b)).map(([name, { usable, refused }]) => [name, usable, refused]),
);
printTable(
  ['files', 'seconds', 'slowest file, ms', 'peak of the reading process, MiB', 'findings'],
  [
    [
      Number(options.files),
      ((performance.now() - started) / 1000).toFixed(0),
      slowest.toFixed(0),
      mib(peak),
      findings.length,
    ],
  ],
);
for (const finding of findings.slice(0, FINDINGS_SHOWN)) console.log(`- ${finding}`);
if (findings.length > 0) process.exitCode = 1;
