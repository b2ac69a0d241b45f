import { describe, expect, test } from 'vitest';
import { forecast, type ForecastTeam, type JobSample } from '../../src/scheduling/forecast.js';
import { PoolSimulation, type SimulatedTeam } from './pool-simulation.js';

const TOLERANCE = 0.25;
const kinds = (inspect: number, plan: number, layer: number, assemble: number, evaluate: number) => ({
  ...{ inspect, plan, layer, assemble, evaluate },
});

/**
 * Seconds as the steps of small and middle-sized networks take them; what varies inside a team is in the simulation.
 */
const POOLS: { name: string; slots: number; teams: SimulatedTeam[] }[] = [
  {
    name: 'one team on four workers',
    slots: 4,
    teams: [{ id: 'a', weight: 1, seconds: kinds(5, 1, 4, 3, 8), layers: 21, jobs: 30 }],
  },
  {
    name: 'two teams of different weight, with jobs of different size, on six workers',
    slots: 6,
    teams: [
      { id: 'a', weight: 2, seconds: kinds(5, 1, 4, 3, 8), layers: 16, jobs: 40 },
      { id: 'b', weight: 1, seconds: kinds(2, 1, 2, 2, 4), layers: 8, jobs: 40 },
    ],
  },
];
const WARM_JOBS = 20;
const JUDGED_JOBS = 120;

describe('on a steady pool nine in ten jobs start within a quarter of the wait that they were told', () => {
  test.each(POOLS)('$name', ({ slots, teams }) => {
    const pool = new PoolSimulation(slots, teams, 7);
    const warm = () => pool.snapshot().every(({ latest }) => latest.length >= WARM_JOBS);
    while (!warm()) for (let i = 0; i < 100; i++) pool.step();
    const told: { job: ReturnType<PoolSimulation['step']>; at: number; expected: number | null }[] = [];
    while (told.length < JUDGED_JOBS) {
      const job = pool.step();
      if (job === null || job.startedAt !== null) continue;
      const teamsNow = pool.snapshot();
      const place = teamsNow.find(({ id }) => id === job.team.id)?.jobs.indexOf(job) ?? -1;
      told.push({ job, at: pool.now, expected: forecast(slots, teamsNow).startOf(job.team.id, 1, place) });
    }
    while (told.some(({ job }) => job?.startedAt === null)) pool.step();
    const errors = told.map(({ job, at, expected }) => {
      const wait = (job?.startedAt ?? 0) - at;
      return expected === null ? Infinity : expected / wait - 1;
    });
    const right = errors.filter((error) => Math.abs(error) <= TOLERANCE).length / errors.length;
    const middle = errors.sort((a, b) => a - b)[errors.length >> 1] ?? Infinity;
    console.log(`${Math.round(100 * right)} % within a quarter, the middle one ${Math.round(100 * middle)} % off`);
    expect(right).toBeGreaterThanOrEqual(0.9);
    // Neither too early nor too late on the whole.
    expect(Math.abs(middle)).toBeLessThan(0.1);
  });
});

describe('a forecast', () => {
  const like: JobSample = { inspect: [2], plan: [1], layer: [4, 4, 4], assemble: [1], evaluate: [2] };
  const team = (change: Partial<ForecastTeam> = {}): ForecastTeam => ({
    ...{ id: 'a', weight: 1, virtualSeconds: 0, limit: 100, latest: [like], arrivals: 0, begun: [], queued: [] },
    ...change,
  });
  const queued = (n: number, priority = 1) => ({
    ...{ priority, released: 0 },
    createdAt: Array.from({ length: n }, (_, i) => 1000 + i),
  });

  test('lets jobs start at once on free places, and the others when one is free', () => {
    const { startOf } = forecast(2, [team({ queued: [queued(4)] })]);
    expect([startOf('a', 1, 0), startOf('a', 1, 1), startOf('a', 1, 2)]).toEqual([0, 0, 2]);
  });

  test('is the same for the same pool, and knows nothing without a pool, a team or a job like it', () => {
    const teams = [team({ queued: [queued(50)] })];
    expect(forecast(2, teams).startOf('a', 1, 40)).toBe(forecast(2, teams).startOf('a', 1, 40));
    expect(forecast(0, teams).startOf('a', 1, 0)).toBeNull();
    expect(forecast(2, teams).startOf('b', 1, 0)).toBeNull();
  });

  test('goes on at the pace of what it has played', () => {
    const { startOf } = forecast(2, [team({ queued: [queued(5000)] })]);
    // 18 seconds of work for two places.
    for (const place of [100, 1000, 4999]) expect((startOf('a', 1, place) ?? 0) / (place * 9)).toBeCloseTo(1, 1);
  });

  test('puts a higher priority before, a heavier team more often, and a limit in the way', () => {
    const both = forecast(1, [team({ queued: [queued(3, 2), queued(3, 1)] })]);
    expect(both.startOf('a', 1, 0)).toBeGreaterThan(both.startOf('a', 2, 2) ?? Infinity);
    const shared = forecast(2, [team({ queued: [queued(60)] }), team({ id: 'b', weight: 3, queued: [queued(60)] })]);
    const ratio = (shared.startOf('a', 1, 20) ?? 0) / (shared.startOf('b', 1, 20) ?? 1);
    expect(ratio).toBeGreaterThan(2);
    expect(ratio).toBeLessThan(4);
    const limited = forecast(4, [team({ limit: 1, queued: [queued(10)] })]);
    expect(limited.startOf('a', 1, 9)).toBeGreaterThan(100);
  });

  test('takes a job that has begun for what it has shown', () => {
    const begun = (seconds: number) => ({
      ...{ priority: 1, createdAt: 1, deviceSeconds: seconds, kind: 'layer' as const, left: 20, released: 0 },
      ...{ done: [{ kind: 'layer' as const, tasks: 10, seconds }], running: [0], layers: 31, points: 1 },
    });
    const start = (seconds: number) =>
      forecast(1, [team({ begun: [begun(seconds)], queued: [queued(1)] })]).startOf('a', 1, 0) ?? 0;
    expect(start(80) / start(40)).toBeGreaterThan(1.5);
  });
});
