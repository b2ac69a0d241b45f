import { expect, test } from 'vitest';
import {
  deserializeError,
  InfrastructureError,
  InputError,
  serializeError,
  SparankError,
} from '../src/errors/index.js';

test('whose fault it is, and whether to try again, follow from the class', () => {
  expect(new InputError('invalid_model', 'x')).toMatchObject({ origin: 'input', retryable: false, status: 422 });
  const lost = new InfrastructureError('worker_lost', 'x');
  expect(lost).toMatchObject({ origin: 'infrastructure', retryable: true, status: 500 });
});

test.each([
  new InputError('invalid_dataset', 'a NaN', { layer: 'conv1', faults: [{ pointer: '/x/3', detail: 'NaN' }] }),
  new InfrastructureError('storage_unavailable', 'down'),
])('%s survives the way through JSON', (error) => {
  const copy = deserializeError(JSON.parse(JSON.stringify(serializeError(error))));
  expect(copy).toBeInstanceOf(error.constructor);
  expect(serializeError(copy)).toEqual(serializeError(error));
  expect(copy.message).toBe(error.message);
});

test('an unexpected error is ours, and retried', () => {
  expect(serializeError(new TypeError('x is undefined'))).toEqual({
    code: 'compute_failed',
    detail: 'x is undefined',
    origin: 'infrastructure',
    layer: null,
    faults: [],
  });
  expect(serializeError('text')).toMatchObject({ detail: 'text', origin: 'infrastructure' });
});

test('the cause stays with the error and out of what clients see', () => {
  const cause = new Error('password');
  const error = new InfrastructureError('storage_unavailable', 'down', { cause });
  expect(error.cause).toBe(cause);
  expect(error).toBeInstanceOf(SparankError);
  expect(JSON.stringify(serializeError(error))).not.toContain('password');
});
