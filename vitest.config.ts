import { defineConfig } from 'vitest/config';

/** Suites of the service as a whole: processes that are started, killed and started again. */
const service = [
  'test/service/**',
  'test/independent/**',
  'test/web/**',
  'test/client/{package,restart}.test.ts',
  'test/examples/**',
  'test/cli/{demo,service,exit-codes,storage-commands}.test.ts',
];

/** Suites that need a database, a queue, a server, a browser, or a whole job. */
const integration = [
  'test/{api,database,queue,storage,worker}/**',
  'test/{janitor,telemetry,scratch,http-source,outbound}.test.ts',
  'test/engines/**',
  'test/pipeline/{back-off,branches,breakdowns,coding,curve,distill,few-calibration,float-types,forms,held-out,integers,latency,plan-bytes,quality-plans}.test.ts',
  'test/pipeline/{one-layer,output-format,patterns,quantized-models,several-inputs,shared-weights,transposed,volumes,widths,whole-inputs,tensorflow-runtime,way,without-tensorflow}.test.ts',
  'test/models/{fuzz,fuzzed-files}.test.ts',
];

/** Suites that replace a module for themselves. */
const mocking = ['test/models/runner-device.test.ts'];

const all = ['test/**/*.test.ts'];
const only = (patterns: string[]) => patterns.map((pattern) => pattern.replace(/\*\*$/, '**/*.test.ts'));

export default defineConfig({
  test: {
    pool: 'forks',
    // Two suites at a time at most: many start real databases and compute processes.
    maxWorkers: 2,
    setupFiles: ['test/support/after-each-file.ts'],
    // For what hangs alone, so that no slow or busy machine reaches them: there, whole jobs take many times what they take elsewhere.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 60_000 } },
    projects: [
      // In one process after the other: to load the modules anew takes most suites longer than their tests.
      {
        extends: true,
        test: { name: 'unit', isolate: false, include: all, exclude: [...service, ...integration, ...mocking] },
      },
      { extends: true, test: { name: 'integration', include: only([...integration, ...mocking]) } },
      { extends: true, test: { name: 'service', include: only(service) } },
    ],
  },
});
