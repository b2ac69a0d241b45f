import { describe, expect, it } from 'vitest';
import { InfrastructureError, InputError } from '../../src/errors/index.js';
import { isOutage, untilItWorks } from '../../src/worker/backoff.js';

const outage = new InfrastructureError('storage_unavailable', 'away');

describe('trying until it works', () => {
  it('outlives an outage, waiting longer each time', async () => {
    const waits: number[] = [];
    let left = 3;
    const value = await untilItWorks(
      async () => {
        if (left-- > 0) throw outage;
        return 'there';
      },
      { signal: new AbortController().signal, limitMs: Infinity, onFailure: (_, wait) => waits.push(wait) },
    );
    expect(value).toBe('there');
    expect(waits).toEqual([100, 200, 400]);
  });

  it('does not repeat what cannot help', async () => {
    const final = new InputError('not_found', 'no such file');
    const failing = untilItWorks(() => Promise.reject(final), {
      signal: new AbortController().signal,
      limitMs: Infinity,
      onFailure: () => expect.unreachable(),
    });
    await expect(failing).rejects.toBe(final);
  });

  it('ends with the signal while it waits', async () => {
    const stop = new AbortController();
    const failing = untilItWorks(() => Promise.reject(outage), {
      signal: stop.signal,
      limitMs: Infinity,
      onFailure: () => setImmediate(() => stop.abort('enough')),
    });
    await expect(failing).rejects.toBe('enough');
  });

  it('knows an outage of storage from a fault of this machine', () => {
    expect(isOutage(outage)).toBe(true);
    expect(isOutage(new Error('ENOSPC'))).toBe(false);
  });
});
