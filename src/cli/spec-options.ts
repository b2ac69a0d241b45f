import { InvalidArgumentError, Option, type Command } from 'commander';
import { engineNames } from '../engines/index.js';
import { ANSWERS, EFFORTS, RUNTIMES } from '../jobs/spec.js';
import { targetNames } from '../jobs/targets.js';
import { weightCodings } from '../models/coding/weight-codings.js';
import { modelFormats } from '../models/formats/index.js';
import { SPARSE_PATTERNS } from '../models/sparse/index.js';

export interface SpecOptions {
  target: Record<string, number>[];
  constraint: Record<string, number>;
  effort?: string | number;
  answers?: string;
  samples?: number;
  iterations?: number;
  seed?: number;
  inputs?: string;
  pattern?: string;
  reconstruction?: string;
  errorMetric?: string;
  distillationPasses?: number;
  keepBranches?: true;
  weights?: string;
  bits?: number;
  integerLayers?: string;
  outputFormat?: string;
  runtime?: string;
  include: string[];
  exclude: string[];
  batchSizes?: number[];
  label: Record<string, string>;
  webhook?: string;
  engine?: string;
  deviceMemory?: number;
  workerClass?: string;
  deadline?: number;
}

function pair(text: string): [string, string] {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('must be name=value');
  return [text.slice(0, at), text.slice(at + 1)];
}

function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('must be a number');
  return value;
}

const UNITS: Record<string, number> = { '': 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };

function size(text: string): number {
  const [, value = '', unit = ''] = /^(\d+(?:\.\d+)?)(KiB|MiB|GiB)?$/.exec(text) ?? [];
  if (value === '') throw new InvalidArgumentError('must be bytes, or a size such as 16GiB');
  return Math.round(Number(value) * (UNITS[unit] ?? 1));
}

const numberPair = (text: string, before: Record<string, number>) => {
  const [name, value] = pair(text);
  return { ...before, [name]: number(value) };
};
const numberPairs = (text: string, before: Record<string, number>[]) => [...before, numberPair(text, {})];
const textPair = (text: string, before: Record<string, string>) => {
  const [name, value] = pair(text);
  return { ...before, [name]: value };
};
const collect = (text: string, before: string[]) => [...before, text];

/** The options that say what to do with a model; the same for `compress` and `submit`. */
export function addSpecOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--target <name=value>',
        `${targetNames.join(', ')} (repeatable: a point of the trade-off curve for each)`,
      )
        .argParser(numberPairs)
        .default([], 'none')
        .makeOptionMandatory(),
    )
    .option(
      '--constraint <name=value>',
      'min_parameter_ratio, min_mac_ratio, min_speedup, min_bytes_ratio, max_accuracy_drop, min_agreement, max_relative_error',
      numberPair,
      {},
    )
    .option(
      '--effort <how>',
      `how long it may take to come nearer to the original: ${EFFORTS.join(', ')}, or seconds`,
      (text) => (/^\d+$/.test(text) ? Number(text) : text),
    )
    .option('--answers <what>', `what the first output holds: ${ANSWERS.join(', ')}`)
    .option('--samples <n>', 'samples of a layer', number)
    .option('--iterations <n>', 'ADMM iterations of a layer at most', number)
    .option('--inputs <how>', 'refit, symmetric or asymmetric')
    .option('--pattern <kind>', `groups of the sparse part: ${SPARSE_PATTERNS.join(', ')}`)
    .option('--reconstruction <how>', 'after_activation or linear')
    .option('--error-metric <what>', 'responses, or outputs: errors are weighed by their effect on the network')
    .option(
      '--distillation-passes <n>',
      'passes over the calibration data in which all layers are changed together',
      number,
    )
    .option('--keep-branches', 'leave out no branch of a residual block')
    .option('--weights <coding>', `how the file keeps the weights: ${weightCodings.join(', ')}`)
    .option('--output-format <name>', `format of the compressed model: ${modelFormats.join(', ')} (default: as sent)`)
    .option('--integer-layers <which>', 'of static_int8: faster (measured on the worker) or all')
    .option('--bits <n>', 'bits of a weight in a codebook: 2, 3, 4 or 8', number)
    .option('--include <layer>', 'compress only these layers (repeatable)', collect, [])
    .option('--exclude <layer>', 'leave this layer as it is (repeatable)', collect, [])
    .option('--batch-sizes <list>', 'batch sizes of the speed measurement', (text) => text.split(',').map(number))
    .option('--runtime <name>', `what networks are timed with, and a speedup is planned for: ${RUNTIMES.join(', ')}`)
    .option('--seed <n>', 'seed of every random choice', number)
    .option('--label <name=value>', 'a label of the job (repeatable)', textPair, {})
    .option('--engine <name>', `what computes: ${engineNames.join(', ')}`);
}

/** What only a service has: a pool of workers to choose from, and a queue. */
export function addPoolOptions(command: Command): Command {
  return command
    .option('--device-memory <size>', 'only workers whose accelerator has so much memory, as 16GiB', size)
    .option('--worker-class <label>', 'only workers of this WORKER_CLASS')
    .option('--deadline <seconds>', 'the job fails when it has not ended by then, waiting or running', number);
}

const given = (values: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));

/** The specification as a client would send it; the sources are filled in by the caller. */
export function specFrom(options: SpecOptions, sources: Record<string, unknown>): Record<string, unknown> {
  const resources = given({
    engine: options.engine,
    device_memory_bytes: options.deviceMemory,
    class: options.workerClass,
  });
  return {
    ...sources,
    ...(options.target.length > 1 ? { targets: options.target } : { target: options.target[0] }),
    constraints: options.constraint,
    ...given({ effort: options.effort, answers: options.answers }),
    method: given({
      samples: options.samples,
      max_iterations: options.iterations,
      seed: options.seed,
      inputs: options.inputs,
      pattern: options.pattern,
      reconstruction: options.reconstruction,
      error_metric: options.errorMetric,
      distillation_passes: options.distillationPasses,
      drop_branches: options.keepBranches === true ? false : undefined,
      weights: given({ coding: options.weights, bits: options.bits, integer_layers: options.integerLayers }),
      layers: { include: options.include, exclude: options.exclude },
    }),
    output: given({ format: options.outputFormat }),
    benchmark: given({ batch_sizes: options.batchSizes, runtime: options.runtime }),
    labels: options.label,
    ...(Object.keys(resources).length > 0 ? { resources } : {}),
    ...given({ webhook: options.webhook && { url: options.webhook }, deadline_seconds: options.deadline }),
  };
}
