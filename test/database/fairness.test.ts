import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEFAULT_TEAM } from '../../src/database/records.js';
import { createJob } from '../support/jobs.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { addTeam } from '../support/teams.js';
import { openSimulated } from './support/simulated-clock.js';
import { SimulatedPool, uniform } from './support/simulated-pool.js';

/** Shares of a pool whose tasks take simulated time, through the SQL that the service runs. */

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.stop());

/** Much longer than on a machine that does nothing else. */

interface Case {
  slots: number;
  /** Weight and mean device seconds of a task, by team. */
  teams: { weight: number; seconds: number }[];
  tasks: number;
}

const cases: [string, Case][] = [
  [
    'two teams of equal weight, one with tasks five times as long, on one place',
    {
      slots: 1,
      tasks: 80,
      teams: [
        { weight: 1, seconds: 10 },
        { weight: 1, seconds: 2 },
      ],
    },
  ],
  [
    'two teams of weights 1 and 3 on four places',
    {
      slots: 4,
      tasks: 120,
      teams: [
        { weight: 1, seconds: 3 },
        { weight: 3, seconds: 5 },
      ],
    },
  ],
  [
    'five teams of weights 1 to 5 on three places',
    { slots: 3, tasks: 180, teams: [3, 5, 6, 10, 12].map((seconds, i) => ({ weight: i + 1, seconds })) },
  ],
  [
    // Whoever has less of the pool has shorter tasks, or the shares of the light teams would be some tasks only.
    'twenty teams of weights 1 to 3 on four places',
    {
      slots: 4,
      tasks: 480,
      teams: Array.from({ length: 20 }, (_, i) => ({
        weight: 1 + (i % 3),
        seconds: (1 + (i % 3)) * (1.6 + ((i * 7) % 5) / 5),
      })),
    },
  ],
];

// Each has a database with a clock of its own, so they may run at the same time.
describe.concurrent('in the long run', () => {
  it.each(cases)(
    '%s get the device time by their weights (within a twentieth), no place is idle, nobody waits for long',
    async (_, { slots, teams, tasks }) => {
      const database = await openSimulated(postgres);
      const random = uniform(20);
      const byId = new Map<string, { weight: number; seconds: number }>();
      for (const [i, team] of teams.entries()) byId.set(await addTeam(database.url, `team_${i}`, team.weight), team);
      const layers = 16;
      const pool = await SimulatedPool.open(database, {
        slots,
        layers,
        cost: ({ teamId }) => (byId.get(teamId)?.seconds ?? 0) * (0.5 + random()),
      });
      const weights = teams.reduce((sum, { weight }) => sum + weight, 0);
      const work = teams.reduce((sum, { weight, seconds }) => sum + weight / seconds, 0);
      for (const [id, { weight, seconds }] of byId) {
        const share = (tasks * weight) / seconds / work;
        await pool.submit(id, Math.ceil((1.2 * share) / (layers + 4)) + 2);
      }
      await pool.steps(tasks);
      expect(pool.busy).toBe(slots);
      // What the service counted is what the tasks took, so nothing else decides.
      for (const [id, seconds] of await pool.counted()) expect(seconds).toBeCloseTo(pool.ended.get(id) ?? 0, 6);

      const served = pool.served();
      const total = [...served.values()].reduce((sum, seconds) => sum + seconds, 0);
      const relative = [...byId].map(([id, { weight }]) => ((served.get(id) ?? 0) / total / weight) * weights);
      console.log(`${teams.length} teams: shares over weights ${relative.map((one) => one.toFixed(3)).join(' ')}`);
      for (const one of relative) expect(Math.abs(one - 1)).toBeLessThan(0.05);

      const longest = Math.max(...teams.map(({ seconds }) => 1.5 * seconds));
      for (const [id, { weight, seconds }] of byId) {
        const times = [0, ...pool.starts.filter(({ teamId }) => teamId === id).map(({ at }) => at), pool.now];
        const gaps = times.slice(1).map((at, i) => at - (times[i] ?? 0));
        // What a task of it costs, over its share of the pool; twice that, and a task of everybody else on the way.
        expect(Math.max(...gaps)).toBeLessThan((2 * 1.5 * seconds * weights) / weight / slots + 2 * longest);
      }
      await pool.close();
    },
  );
});

describe.concurrent('a simulation', () => {
  it('gives the same shares every time', async () => {
    const run = async () => {
      const database = await openSimulated(postgres);
      const teams = [
        DEFAULT_TEAM,
        await addTeam(database.url, 'team_two', 2),
        await addTeam(database.url, 'team_three', 3),
      ];
      const random = uniform(7);
      const pool = await SimulatedPool.open(database, { slots: 2, layers: 3, cost: () => 2 * (0.5 + random()) });
      for (const team of teams) await pool.submit(team, 4);
      await pool.steps(30);
      await pool.close();
      return pool.starts.map(({ teamId, at, seconds }) => ({ teamId, at, seconds }));
    };
    const [first, second] = await Promise.all([run(), run()]);
    expect(second).toEqual(first);
  });
});

describe.concurrent('a team that floods the pool', () => {
  it.each([1, 4])(
    "with 1,000 jobs on %i places does not delay another one's single job by more than the time of one task",
    async (slots) => {
      const database = await openSimulated(postgres);
      const other = await addTeam(database.url, 'team_other');
      const seconds = 8;
      const pool = await SimulatedPool.open(database, { slots, layers: 4, cost: () => seconds });
      await pool.submit(DEFAULT_TEAM, 1000);
      await pool.steps(20);
      const at = pool.now;
      const { id } = await createJob(database, {}, other);
      // The relay is woken by a new job.
      await pool.fill();
      const started = () => pool.starts.find(({ jobId }) => jobId === id);
      while (started() === undefined) await pool.step();
      expect((started()?.at ?? Infinity) - at).toBeLessThanOrEqual(seconds);

      // From then on half of the pool is its own, as far as it can use it.
      const status = async () => (await database.jobs.get(other, id))?.status;
      while ((await status()) !== 'succeeded') await pool.step();
      const steps = 4 + Math.ceil(4 / Math.max(1, slots / 2));
      expect(pool.now - at).toBeLessThanOrEqual(seconds * steps * (slots === 1 ? 2 : 1.5) + seconds);
      await pool.close();
    },
  );

  it('may use everything while it is alone, and owes nothing for it afterwards', async () => {
    const database = await openSimulated(postgres);
    const other = await addTeam(database.url, 'team_other');
    const pool = await SimulatedPool.open(database, { slots: 2, layers: 16, cost: () => 5 });
    await pool.submit(DEFAULT_TEAM, 12);
    await pool.steps(60);
    const before = pool.served();
    expect(before.get(DEFAULT_TEAM)).toBeGreaterThan(2 * 0.99 * pool.now);
    await pool.submit(other, 8);
    await pool.steps(60);
    const after = pool.served();
    const got = (team: string) => (after.get(team) ?? 0) - (before.get(team) ?? 0);
    expect(Math.abs(got(DEFAULT_TEAM) / got(other) - 1)).toBeLessThan(0.1);
    await pool.close();
  });

  it('stays within its limit of tasks at once, also when places are free', async () => {
    const database = await openSimulated(postgres);
    await database.teams.update(DEFAULT_TEAM, { limits: { runningTasks: 2 } });
    const pool = await SimulatedPool.open(database, { slots: 8, layers: 0, cost: () => 1 });
    await pool.submit(DEFAULT_TEAM, 5);
    await pool.close();
    expect(await database.pool.release()).toHaveLength(2);
    expect(await database.pool.release()).toEqual([]);
  });
});

describe.concurrent('inside a team', () => {
  it('a short job does not stand behind what is left of a long one', async () => {
    const database = await openSimulated(postgres);
    // Sixty layers of ten seconds, of which it has used more than the five minutes that come first in any case.
    const pool = await SimulatedPool.open(database, { slots: 1, layers: 60, cost: () => 10 });
    const long = await createJob(database);
    await pool.steps(40);
    const short = await createJob(database);
    const at = pool.now;
    await pool.steps(3);
    const started = pool.starts.find(({ jobId }) => jobId === short.id);
    expect((started?.at ?? Infinity) - at).toBeLessThanOrEqual(20);
    expect(await database.jobs.get(DEFAULT_TEAM, long.id)).toMatchObject({ status: 'running' });
    await pool.close();
  });

  it('a job of higher priority takes the next place', async () => {
    const database = await openSimulated(postgres);
    const pool = await SimulatedPool.open(database, { slots: 1, layers: 4, cost: () => 10 });
    await pool.submit(DEFAULT_TEAM, 20);
    await pool.steps(5);
    const urgent = await createJob(database, { priority: 'high' });
    await pool.fill();
    await pool.step();
    expect(pool.starts.at(-1)).toMatchObject({ jobId: urgent.id });
    await pool.close();
  });

  it('the expected start comes true', async () => {
    const database = await openSimulated(postgres);
    const pool = await SimulatedPool.open(database, { slots: 2, layers: 0, cost: () => 10 });
    await pool.submit(DEFAULT_TEAM, 40);
    await pool.steps(40);
    const [last] = (await database.jobs.list(DEFAULT_TEAM, { limit: 1 })).data;
    if (last === undefined) throw new Error('no job');
    const at = pool.now;
    const place = await database.jobs.place(last);
    const started = () => pool.starts.find(({ jobId }) => jobId === last.id);
    while (started() === undefined) await pool.step();
    const took = (started()?.at ?? 0) - at;
    expect(place.position).toBeGreaterThan(20);
    console.log(`expected start ${place.expectedStartSeconds} s, started after ${took} s`);
    expect(Math.abs((place.expectedStartSeconds ?? 0) / took - 1)).toBeLessThan(0.15);
    await pool.close();
  });
});
