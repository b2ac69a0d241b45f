import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  byStanding,
  chooseSwaps,
  chooseTasks,
  estimatePosition,
  expectedStart,
  mayBeSwaps,
  releaseRoom,
  settleAccounts,
  type Contender,
  type StartEstimate,
  type TeamAccount,
  type WaitingTask,
} from '../../src/scheduling/fair-share.js';

const waiting = (teamId: string, n: number, change: Partial<WaitingTask> = {}): WaitingTask[] =>
  Array.from({ length: n }, (_, i) => ({
    taskId: `${teamId}${i}`,
    attempt: 1,
    teamId,
    priority: 1,
    rank: i,
    layer: -1,
    point: 0,
    ...change,
  }));
const account = (change: Partial<TeamAccount> = {}): TeamAccount => ({
  weight: 1,
  virtualSeconds: 0,
  taskSeconds: 0,
  inUse: 0,
  released: 0,
  overrun: 0,
  limit: 1000,
  backlogged: true,
  ...change,
});
const of = (tasks: WaitingTask[], team: string) => tasks.filter((task) => task.teamId === team).length;
const teams = (accounts: Record<string, Partial<TeamAccount>>) =>
  new Map(Object.entries(accounts).map(([id, change]) => [id, account(change)]));

describe('the choice of tasks', () => {
  it('gives places by weight', () => {
    const chosen = chooseTasks([...waiting('a', 20), ...waiting('b', 20)], teams({ a: {}, b: { weight: 3 } }), 8);
    expect([of(chosen, 'a'), of(chosen, 'b')]).toEqual([2, 6]);
  });

  it('gives first to the team that used the least for its weight, its tasks in flight at their usual cost included', () => {
    const used = teams({ a: { virtualSeconds: 100 }, b: { virtualSeconds: 10, inUse: 2, taskSeconds: 40 } });
    expect(chooseTasks([...waiting('a', 3), ...waiting('b', 3)], used, 2).map((task) => task.teamId)).toEqual([
      'b',
      'a',
    ]);
    const overrun = teams({ a: { inUse: 1, taskSeconds: 5, overrun: 60 }, b: { inUse: 2, taskSeconds: 5 } });
    expect(chooseTasks([...waiting('a', 1), ...waiting('b', 1)], overrun, 1)[0]?.teamId).toBe('b');
  });

  it('takes inside a team the priority, then the rank, then the earlier layer', () => {
    const tasks = [
      ...waiting('a', 1, { taskId: 'late layer', rank: 2, layer: 4 }),
      ...waiting('a', 1, { taskId: 'low', priority: 0, rank: 1 }),
      ...waiting('a', 1, { taskId: 'early layer', rank: 2, layer: 3 }),
      ...waiting('a', 1, { taskId: 'high', priority: 2, rank: 9 }),
    ];
    expect(chooseTasks(tasks, teams({ a: {} }), 4).map((task) => task.taskId)).toEqual([
      'high',
      'early layer',
      'late layer',
      'low',
    ]);
  });

  it('keeps a team at its limit, and gives its places to others', () => {
    const chosen = chooseTasks(
      [...waiting('a', 9), ...waiting('b', 9)],
      teams({ a: { limit: 3, inUse: 1 }, b: { virtualSeconds: 1e6 } }),
      6,
    );
    expect([of(chosen, 'a'), of(chosen, 'b')]).toEqual([2, 4]);
  });

  it('leaves no place free while a task may run, gives no task twice, and passes nobody who stands lower', () => {
    const team = fc.record({
      n: fc.integer({ min: 0, max: 12 }),
      weight: fc.integer({ min: 1, max: 9 }),
      inUse: fc.integer({ min: 0, max: 9 }),
      limit: fc.integer({ min: 1, max: 12 }),
      virtualSeconds: fc.integer({ min: 0, max: 9 }),
      taskSeconds: fc.integer({ min: 1, max: 9 }),
    });
    fc.assert(
      fc.property(fc.array(team, { maxLength: 5 }), fc.integer({ min: 0, max: 30 }), (given, room) => {
        const accounts = new Map(given.map(({ n: _, ...change }, i) => [`t${i}`, account(change)]));
        const chosen = chooseTasks(
          given.flatMap(({ n }, i) => waiting(`t${i}`, n)),
          accounts,
          room,
        );
        const mayRun = given.map(({ n, inUse, limit }) => Math.min(n, Math.max(0, limit - inUse)));
        expect(chosen).toHaveLength(
          Math.min(
            room,
            mayRun.reduce((sum, n) => sum + n, 0),
          ),
        );
        expect(new Set(chosen.map((task) => task.taskId)).size).toBe(chosen.length);
        const got = given.map((_, i) => of(chosen, `t${i}`));
        const stands = (i: number, tasks: number) => {
          const one = given[i] ?? { virtualSeconds: 0, inUse: 0, taskSeconds: 0, weight: 1 };
          return one.virtualSeconds + ((one.inUse + tasks) * one.taskSeconds) / one.weight;
        };
        for (const [i, wanted] of mayRun.entries()) {
          for (const [j, n] of got.entries()) {
            if (i === j || n === 0 || (got[i] ?? 0) >= wanted) continue;
            expect(stands(j, n - 1)).toBeLessThanOrEqual(stands(i, got[i] ?? 0) + 1e-9);
          }
        }
      }),
      { seed: 7, numRuns: 300 },
    );
  });
});

describe('the accounts', () => {
  it('of a team that comes back start where the lowest of those that wait stands: no credit for the time away', () => {
    const accounts = teams({ a: { virtualSeconds: 70 }, b: { virtualSeconds: 50 }, new: { backlogged: false } });
    const changed = settleAccounts(accounts, new Set(['a', 'b', 'new']), 90);
    expect([...changed]).toEqual([['new', account({ virtualSeconds: 50 })]]);
  });

  it('keep what a team owes, and forget it when nobody waits', () => {
    const owes = teams({ a: { virtualSeconds: 70 }, b: { virtualSeconds: 99, backlogged: false } });
    expect(settleAccounts(owes, new Set(['a', 'b']), 99).get('b')?.virtualSeconds).toBe(99);
    // All were idle: what one of them used of the idle pool is not held against it.
    const idle = teams({ a: { virtualSeconds: 5, backlogged: false }, b: { virtualSeconds: 99, backlogged: false } });
    const changed = settleAccounts(idle, new Set(['a', 'b']), 99);
    expect([changed.get('a')?.virtualSeconds, changed.get('b')?.virtualSeconds]).toEqual([99, 99]);
  });

  it('of a team at its limit earn nothing while it is held back by it', () => {
    const accounts = teams({ a: { virtualSeconds: 70 }, held: { limit: 1, inUse: 1, virtualSeconds: 1 } });
    expect(settleAccounts(accounts, new Set(['a', 'held']), 70).get('held')).toMatchObject({ backlogged: false });
  });

  it('are never more than an hour of the lightest team behind', () => {
    const accounts = teams({
      a: { virtualSeconds: 10_000 },
      b: { virtualSeconds: 1 },
      c: { weight: 0.5, virtualSeconds: 9000 },
    });
    expect(settleAccounts(accounts, new Set(['a', 'b', 'c']), 10_000).get('b')?.virtualSeconds).toBe(10_000 - 7200);
  });
});

describe('swaps', () => {
  const flood = (n: number) => waiting('a', n).map((task) => ({ ...task, taskId: `out${task.taskId}` }));

  it('let a team that comes late pass what is released but not running, and only as much as is fair', () => {
    const accounts = teams({ a: { inUse: 8, released: 4, taskSeconds: 10 }, b: { taskSeconds: 10 } });
    const swaps = chooseSwaps(waiting('b', 9), flood(4), accounts);
    expect(swaps.map((swap) => swap.in.taskId)).toEqual(['b0', 'b1', 'b2', 'b3']);
    // The last to have come goes first.
    expect(swaps[0]?.out.taskId).toBe('outa3');
    expect(chooseSwaps(waiting('b', 1), flood(1), teams({ a: { inUse: 1 }, b: {} }))).toEqual([]);
  });

  it('let a higher priority of the same team pass, and nothing else of it', () => {
    const urgent = waiting('a', 2, { priority: 2 });
    const accounts = teams({ a: { inUse: 4, released: 3 } });
    expect(chooseSwaps([...urgent, ...waiting('a', 5)], flood(3), accounts).map((swap) => swap.in.priority)).toEqual([
      2, 2,
    ]);
    expect(chooseSwaps(waiting('a', 5), flood(3), accounts)).toEqual([]);
  });

  it('come to an end, each time with as many tasks in as out', () => {
    const team = fc.record({
      released: fc.integer({ min: 0, max: 6 }),
      waits: fc.integer({ min: 0, max: 6 }),
      weight: fc.integer({ min: 1, max: 5 }),
      taskSeconds: fc.integer({ min: 1, max: 20 }),
      virtualSeconds: fc.integer({ min: 0, max: 50 }),
    });
    fc.assert(
      fc.property(fc.array(team, { minLength: 2, maxLength: 5 }), (given) => {
        const accounts = new Map(
          given.map(({ waits: _, ...change }, i) => [`t${i}`, account({ ...change, inUse: change.released })]),
        );
        let held = given.flatMap(({ released }, i) =>
          waiting(`t${i}`, released).map((task) => ({ ...task, taskId: `out${task.taskId}` })),
        );
        let wait = given.flatMap(({ waits }, i) => waiting(`t${i}`, waits));
        for (let round = 0; ; round++) {
          const swaps = chooseSwaps(wait, held, accounts);
          if (swaps.length === 0) return;
          expect(round).toBeLessThan(5);
          const [out, taken] = [swaps.map((swap) => swap.out), swaps.map((swap) => swap.in)];
          expect(new Set([...out, ...taken].map((task) => task.taskId)).size).toBe(2 * swaps.length);
          for (const swap of swaps) {
            const [from, to] = [accounts.get(swap.out.teamId), accounts.get(swap.in.teamId)];
            if (from !== undefined) from.inUse--;
            if (to !== undefined) to.inUse++;
          }
          held = [...held.filter((task) => !out.includes(task)), ...taken];
          wait = [...wait.filter((task) => !taken.includes(task)), ...out];
        }
      }),
      { seed: 11, numRuns: 300 },
    );
  });
});

it('two tasks are in flight for every place, and two when no worker is known', () => {
  expect([releaseRoom(4, 0), releaseRoom(4, 7), releaseRoom(4, 9), releaseRoom(0, 0), releaseRoom(0, 2)]).toEqual([
    8, 1, 0, 2, 0,
  ]);
});

it('more stands ready the shorter the tasks are, up to a limit', () => {
  expect([1, 0.25, 0.1, 0.01, 0.0001].map((seconds) => releaseRoom(2, 0, seconds))).toEqual([4, 4, 8, 52, 66]);
});

it('no swap is made for less than a second, however short the tasks are', () => {
  const short = (virtualSeconds: number) =>
    teams({ a: { virtualSeconds, inUse: 3, released: 3, taskSeconds: 0.01 }, b: { taskSeconds: 0.01 } });
  expect(chooseSwaps(waiting('b', 3), waiting('a', 3), short(0.5))).toEqual([]);
  expect(chooseSwaps(waiting('b', 3), waiting('a', 3), short(5)).length).toBe(3);
});

describe('what the relay needs to read', () => {
  const contender = fc.record({
    next: fc.option(fc.integer({ min: 0, max: 2 })),
    lowest: fc.option(fc.integer({ min: 0, max: 2 })),
    weight: fc.integer({ min: 1, max: 3 }),
    inUse: fc.integer({ min: 0, max: 6 }),
    limit: fc.integer({ min: 1, max: 8 }),
    virtualSeconds: fc.integer({ min: 0, max: 40 }),
    taskSeconds: fc.integer({ min: 1, max: 9 }),
  });
  const wanted = (given: Contender[]) => new Map(given.map((one, i) => [`t${i}`, one]));
  const contenders = fc
    .array(contender, { maxLength: 8 })
    .map((given) => given.map((one) => ({ ...account(one), ...one, released: one.lowest === null ? 0 : one.inUse })));

  it('the tasks of the teams that stand lowest are chosen as among all', () => {
    fc.assert(
      fc.property(contenders, fc.integer({ min: 0, max: 6 }), (given, room) => {
        const accounts = wanted(given);
        const all = [...accounts].flatMap(([id, { next }]) =>
          next === null ? [] : waiting(id, 9, { priority: next }),
        );
        const few = new Set(byStanding(accounts, room));
        const some = all.filter(({ teamId }) => few.has(teamId));
        expect(chooseTasks(some, accounts, room)).toEqual(chooseTasks(all, accounts, room));
      }),
      { seed: 11, numRuns: 500 },
    );
  });

  it('no swap is missed by not looking', () => {
    fc.assert(
      fc.property(contenders, (given) => {
        const accounts = wanted(given);
        const tasks = (of: (one: Contender) => number | null, name: string, n: (one: Contender) => number) =>
          [...accounts].flatMap(([id, one]) => {
            const priority = of(one);
            return priority === null
              ? []
              : waiting(id, n(one), { priority }).map((task) => ({ ...task, taskId: `${name}${task.taskId}` }));
          });
        const swaps = chooseSwaps(
          tasks(
            ({ next }) => next,
            'waiting',
            () => 9,
          ),
          tasks(
            ({ lowest }) => lowest,
            'held',
            ({ released }) => released,
          ),
          accounts,
        );
        if (swaps.length > 0) expect(mayBeSwaps(accounts.values())).toBe(true);
      }),
      { seed: 12, numRuns: 500 },
    );
  });
});

it('the place of a job is estimated from its own team and the turns of the others', () => {
  expect(estimatePosition(0, 1, [])).toBe(1);
  expect(estimatePosition(4, 1, [])).toBe(5);
  expect(estimatePosition(1, 1, [{ weight: 1, queued: 10 }])).toBe(4);
  expect(estimatePosition(1, 1, [{ weight: 3, queued: 4 }])).toBe(6);
  expect(estimatePosition(1, 2, [{ weight: 1, queued: 10 }])).toBe(3);
});

describe('the expected start', () => {
  const estimate = (change: Partial<StartEstimate>) =>
    expectedStart({
      slots: 4,
      free: 0,
      released: 0,
      share: 1,
      limit: 1000,
      jobsAhead: 0,
      jobSeconds: 60,
      taskSeconds: 8,
      ...change,
    });

  it('is now when a place is free and nothing of the team comes first', () => {
    expect(estimate({ free: 1 })).toBe(0);
    expect(estimate({ free: 1, released: 1 })).toBe(2);
  });

  it('is the work ahead on the places of the team, and then the next place', () => {
    expect(estimate({})).toBe(2);
    expect(estimate({ released: 3 })).toBe(8);
    expect(estimate({ jobsAhead: 2.5 })).toBe(2.5 * 15 + 2);
    expect(estimate({ jobsAhead: 1, share: 0.25 })).toBe(62);
    expect(estimate({ jobsAhead: 1, limit: 2 })).toBe(32);
  });

  it('is not known without workers or without measured times', () => {
    expect(estimate({ slots: 0 })).toBeNull();
    expect(estimate({ jobsAhead: 1, jobSeconds: 0 })).toBeNull();
    expect(estimate({ taskSeconds: 0 })).toBeNull();
  });
});
