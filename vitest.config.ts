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
  'test/pipeline/{back-off,branches,breakdowns,coding,curve,distill,few-calibration,float-types,forms,held-out,integers,latency,quality-plans}.test.ts',
  'test/pipeline/{one-layer,output-format,patterns,quantized-models,several-inputs,shared-weights,transposed,widths,tensorflow-runtime,way,without-tensorflow}.test.ts',
  'test/models/{fuzz,fuzzed-files}.test.ts',
];

const all = ['test/**/*.test.ts'];
const only = (patterns: string[]) => patterns.map((pattern) => pattern.replace(/\*\*$/, '**/*.test.ts'));

export default defineConfig({
  test: {
    pool: 'forks',
    // Two suites at a time at most: many start real databases and compute processes.
    maxWorkers: 2,
    // For what hangs alone, so that no slow or busy machine reaches them: there, whole jobs take many times what they take elsewhere.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 60_000 } },
    projects: [
      { extends: true, test: { name: 'unit', include: all, exclude: [...service, ...integration] } },
      { extends: true, test: { name: 'integration', include: only(integration) } },
      { extends: true, test: { name: 'service', include: only(service) } },
    ],
  },
});
