#!/usr/bin/env node
import { CommanderError } from 'commander';
import { ConfigError } from '../config/index.js';
import { InputError, SparankError } from '../errors/index.js';
import { ConnectionError, ServiceError } from '../client/index.js';
import { EXIT } from './exit-codes.js';
import { note, printJson } from './display/output.js';
import { buildProgram } from './program.js';

function report(error: unknown, json: boolean): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  const known = error instanceof SparankError ? error : null;
  const told = error instanceof ServiceError || error instanceof ConnectionError ? error : null;
  const code = known?.code ?? told?.code ?? 'internal';
  const faults = known?.faults ?? (error instanceof ServiceError ? error.faults : []);
  const detail = error instanceof Error ? error.message : String(error);
  if (json) printJson({ error: { code, detail, errors: faults } });
  else {
    note(`sparank: ${detail}`);
    for (const fault of faults) note(`  ${fault.pointer}: ${fault.detail}`);
  }
  const usage = error instanceof ConfigError || (error instanceof InputError && error.code === 'invalid_spec');
  return usage ? EXIT.usage : EXIT.error;
}

try {
  await buildProgram().parseAsync();
} catch (error) {
  process.exitCode = report(error, process.argv.includes('--json'));
}

// The runtime's HTTP client may hold an idle connection for as long as the server offers (over a minute), and with it
// the process. Every command has awaited what it started, so only the output has to be flushed.
process.stdout.write('', () => process.stderr.write('', () => process.exit()));
