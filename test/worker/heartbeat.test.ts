import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { HeartbeatState } from '../../src/database/repositories.js';
import { Heartbeat } from '../../src/worker/task/heartbeat.js';

function start(states: (HeartbeatState | Error)[], leaseSeconds = 0.06) {
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
  it('beats about three times per lease and goes on after an error', async () => {
    const { heartbeat, seen } = start([new Error('down'), new Error('down'), 'ok']);
    await sleep(300);
    await heartbeat.stop();
    expect(seen.errors).toBe(2);
    expect(seen.beats).toBeGreaterThan(5);
    expect(seen.ends).toEqual([]);
  });

  it('tells once that the task is lost', async () => {
    const { heartbeat, seen } = start(['ok', 'lost']);
    await sleep(200);
    await heartbeat.stop();
    expect(seen.ends).toEqual(['lost']);
  });

  it('can be hurried', async () => {
    const { heartbeat, seen } = start(['cancel'], 60);
    heartbeat.now();
    await sleep(20);
    expect(seen.ends).toEqual(['cancel']);
    await heartbeat.stop();
  });

  it('keeps the lease while the result is committed, whatever the answer', async () => {
    const { heartbeat, seen } = start(['lost']);
    heartbeat.deafen();
    await sleep(150);
    await heartbeat.stop();
    expect(seen.beats).toBeGreaterThan(2);
    expect(seen.ends).toEqual([]);
  });

  it('is silent once it is stopped', async () => {
    const { heartbeat, seen } = start(['ok']);
    await heartbeat.stop();
    const { beats } = seen;
    heartbeat.now();
    await sleep(100);
    expect(seen.beats).toBe(beats);
  });
});
