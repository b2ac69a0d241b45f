import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { addPoolOptions, addSpecOptions, specFrom, type SpecOptions } from '../../src/cli/spec-options.js';
import { resolveSpec } from '../../src/jobs/resolve-spec.js';

const sources = { model: { upload: 'upl_a' }, calibration: { upload: 'upl_b' } };

function parse(...args: string[]): SpecOptions {
  const command = addPoolOptions(addSpecOptions(new Command()))
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  return command.parse(['--target', 'parameter_ratio=4', ...args], { from: 'user' }).opts<SpecOptions>();
}
const resolved = (...args: string[]) => resolveSpec(specFrom(parse(...args), sources));

describe('what a worker must have', () => {
  it('is nothing particular, unless it is said', () => {
    expect(resolved()).not.toHaveProperty('resources');
    expect(resolved()).toMatchObject({ deadline_seconds: null });
  });

  it('is an engine, memory of an accelerator and a class, in any part', () => {
    expect(resolved('--engine', 'tensorflow', '--device-memory', '16GiB', '--worker-class', 'gpu')).toMatchObject({
      resources: { engine: 'tensorflow', device_memory_bytes: 17179869184, class: 'gpu' },
    });
    expect(resolved('--device-memory', '1.5MiB').resources).toEqual({ device_memory_bytes: 1572864 });
    expect(resolved('--device-memory', '4096').resources).toEqual({ device_memory_bytes: 4096 });
  });

  it('is refused when it makes no sense', () => {
    for (const size of ['16GB', 'much', '-1', '']) expect(() => parse('--device-memory', size)).toThrow(/16GiB/);
    expect(() => resolved('--engine', 'abacus')).toThrow();
    expect(() => resolved('--worker-class', 'No Such')).toThrow();
    expect(() => resolved('--device-memory', '0')).toThrow();
  });
});

it('a deadline is a number of whole seconds', () => {
  expect(resolved('--deadline', '3600').deadline_seconds).toBe(3600);
  expect(() => resolved('--deadline', '0.5')).toThrow();
  expect(() => parse('--deadline', 'soon')).toThrow();
});

it('integers are where they are faster, or wherever they can be', () => {
  const weights = (...args: string[]) => resolved('--weights', 'static_int8', ...args).method.weights;
  expect(weights().integer_layers).toBe('faster');
  expect(weights('--integer-layers', 'all')).toMatchObject({ coding: 'static_int8', integer_layers: 'all' });
  expect(() => weights('--integer-layers', 'some')).toThrow();
});
