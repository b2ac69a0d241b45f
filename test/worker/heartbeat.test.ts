import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { HeartbeatState } from '../../src/database/repositories.js';
import { Heartbeat } from '../../src/worker/task/heartbeat.js';

const LEASE_SECONDS = 3;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const leases = (count: number) => vi.advanceTimersByTimeAsync(count * LEASE_SECONDS * 1000);

function start(states: (HeartbeatState | Error)[], leaseSeconds = LEASE_SECONDS) {
  const seen = { beats: 0, ends: [] as string[], errors: 0 };
  const heartbeat = new Heartbeat({
    leaseSeconds,
    beat: async () => {
      const state = states[Math.min(seen.beats++, states.length - 1)] ?? 'ok';
      if (state instanceof Error) throw state;
      return state;
    },
    onEnd: (state) => seen.ends.push(state),
    onError: () => seen.errors++,
  });
  return { heartbeat, seen };
}

describe('a heartbeat', () => {
  it('beats three times per lease and goes on after an error', async () => {
    const { heartbeat, seen } = start([new Error('down'), new Error('down'), 'ok']);
    await leases(2);
    await heartbeat.stop();
    expect(seen.errors).toBe(2);
    expect(seen.beats).toBe(6);
    expect(seen.ends).toEqual([]);
  });

  it('tells once that the task is lost', async () => {
    const { heartbeat, seen } = start(['ok', 'lost']);
    await leases(2);
    await heartbeat.stop();
    expect(seen.ends).toEqual(['lost']);
  });

  it('can be hurried', async () => {
    const { heartbeat, seen } = start(['cancel'], 60);
    heartbeat.now();
    await vi.advanceTimersByTimeAsync(0);
    expect(seen.ends).toEqual(['cancel']);
    await heartbeat.stop();
  });

  it('keeps the lease while the result is committed, whatever the answer', async () => {
    const { heartbeat, seen } = start(['lost']);
    heartbeat.deafen();
    await leases(1);
    await heartbeat.stop();
    expect(seen.beats).toBe(3);
    expect(seen.ends).toEqual([]);
  });

  it('is silent once it is stopped', async () => {
    const { heartbeat, seen } = start(['ok']);
    await heartbeat.stop();
    const { beats } = seen;
    heartbeat.now();
    await leases(2);
    expect(seen.beats).toBe(beats);
  });
});
