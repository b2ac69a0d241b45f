import { afterAll, beforeAll, expect, test } from 'vitest';
import { BugError, OwnFaultError } from '../../src/errors/index.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { expectProblem, startService, upload, type TestService } from './support/service.js';

/**
 * What befalls one API process is no answer about the request: 503, so that it is sent again, to another one perhaps.
 */

let postgres: TestPostgres;
let service: TestService;
let fault: Error = new Error('none');
beforeAll(async () => {
  postgres = await startPostgres();
  service = await startService(postgres, { checkSubmission: () => Promise.reject(fault) });
});
afterAll(async () => {
  await service.close();
  await postgres.stop();
});

const submit = async (seed: number) => {
  const model = { upload: await upload(service, 'a model') };
  return service.call('POST', '/jobs?dry_run=true', {
    payload: { model, calibration: model, target: { parameter_ratio: 2 }, method: { seed } },
  });
};

test.each([
  ['a full disk', Object.assign(new Error('no space left on /var/lib/x'), { code: 'ENOSPC' }), 503, 'unavailable'],
  ['a storage that is gone', Object.assign(new Error('x'), { code: 'ECONNREFUSED' }), 503, 'unavailable'],
  ['a missing library', new OwnFaultError('compute_failed', 'libfoo.so is missing in /opt'), 503, 'unavailable'],
  ['a secret that the storage refuses', new OwnFaultError('storage_unavailable', 'x'), 503, 'storage_unavailable'],
  ['an unexpected error', new TypeError('x is undefined'), 500, 'internal'],
  ['a bug in a process of its own', new BugError('internal', 'x'), 500, 'internal'],
] as const)('%s', async (what, error, status, code) => {
  fault = error;
  const response = await submit(what.length);
  expectProblem(response, status, code);
  expect(response.headers['retry-after'] === undefined).toBe(status === 500);
  expect(response.body).not.toMatch(/\/var|\/opt|undefined/);
});
