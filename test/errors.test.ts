import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { classOf, deserializeError, serializeError } from '../src/errors/classify.js';
import { BugError, InfrastructureError, InputError, OwnFaultError, SparankError } from '../src/errors/index.js';

test('whose fault it is, and whether to try again, follow from the class', () => {
  expect(new InputError('invalid_model', 'x')).toMatchObject({ origin: 'input', retryable: false, status: 422 });
  const lost = new InfrastructureError('worker_lost', 'x');
  expect(lost).toMatchObject({ origin: 'infrastructure', retryable: true, status: 500 });
});

test.each([
  new InputError('invalid_dataset', 'a NaN', { layer: 'conv1', faults: [{ pointer: '/x/3', detail: 'NaN' }] }),
  new InfrastructureError('storage_unavailable', 'down'),
  new OwnFaultError('storage_unavailable', 'wrong secret'),
  new BugError('internal', 'x'),
])('%s survives the way through JSON', (error) => {
  const copy = deserializeError(JSON.parse(JSON.stringify(serializeError(error))));
  expect(copy).toBeInstanceOf(error.constructor);
  expect(serializeError(copy)).toEqual(serializeError(error));
  expect(copy.message).toBe(error.message);
});

test('an unexpected error is a bug, and says so', () => {
  expect(serializeError(new RangeError('flat has no range'))).toEqual({
    code: 'internal',
    detail: 'an unexpected error (RangeError: flat has no range)',
    class: 'bug',
    origin: 'bug',
    layer: null,
    faults: [],
  });
  expect(serializeError('text')).toMatchObject({ detail: 'an unexpected error (error: text)', origin: 'bug' });
});

test('what the system says of a file keeps its path to itself', async () => {
  const error: unknown = await readFile('/no/such/file').catch((e: unknown) => e);
  expect(serializeError(error)).toMatchObject({ class: 'bug', detail: 'an unexpected error (Error)' });
});

const coded = (code: string, message = 'x') => Object.assign(new Error(message), { code });

test.each([
  ['a full disk', coded('ENOSPC'), 'own_fault'],
  [
    'a disk that fails, deep inside',
    new Error('upload', { cause: new Error('put', { cause: coded('EIO') }) }),
    'own_fault',
  ],
  ['a missing library', coded('ERR_DLOPEN_FAILED'), 'own_fault'],
  ['a wrong secret', Object.assign(new Error('x'), { name: 'SignatureDoesNotMatch' }), 'own_fault'],
  ['a refusal without a name', Object.assign(new Error('x'), { $metadata: { httpStatusCode: 403 } }), 'own_fault'],
  ['a wrong password', { meta: { driverAdapterError: { cause: { originalCode: '28P01' } } } }, 'own_fault'],
  ['no memory', new RangeError('Array buffer allocation failed'), 'own_fault'],
  ['a name that speaks of memory', new Error('node std::bad_alloc has no input'), 'bug'],
  ['no connection', coded('ECONNREFUSED'), 'outage'],
  ['a storage that is away', new InfrastructureError('storage_unavailable', 'x'), 'outage'],
  ['a database that is away', new InfrastructureError('unavailable', 'x'), 'outage'],
  ['a killed process', new InfrastructureError('compute_failed', 'x'), 'failure'],
  ['data that PostgreSQL refuses', coded('22P05'), 'bug'],
  ['a type error', new TypeError('x'), 'bug'],
  ['bad input', new InputError('invalid_model', 'x'), 'input'],
] as const)('%s: %#', (_, error, expected) => {
  expect(classOf(error)).toBe(expected);
});

test('an error of an earlier version, without its class, is read', () => {
  const stored = { code: 'compute_failed', detail: 'x', origin: 'infrastructure', layer: null, faults: [] } as const;
  expect(deserializeError({ ...stored, faults: [] }).class).toBe('failure');
});

test('the cause stays with the error and out of what clients see', () => {
  const cause = new Error('password');
  const error = new InfrastructureError('storage_unavailable', 'down', { cause });
  expect(error.cause).toBe(cause);
  expect(error).toBeInstanceOf(SparankError);
  expect(JSON.stringify(serializeError(error))).not.toContain('password');
});
