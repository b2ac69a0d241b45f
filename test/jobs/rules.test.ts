import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { artifactContentType } from '../../src/jobs/artifacts.js';
import { backoffSeconds } from '../../src/jobs/backoff.js';
import {
  chooseTasks,
  estimatePosition,
  releaseRoom,
  type TeamUse,
  type WaitingTask,
} from '../../src/jobs/fair-share.js';
import { InputError } from '../../src/errors.js';
import { nextTasks } from '../../src/jobs/next-tasks.js';
import { atTarget, choicesOf, targetsOf } from '../../src/jobs/points.js';
import { etaSeconds, jobFraction } from '../../src/jobs/progress.js';
import { resolveSpec } from '../../src/jobs/resolve-spec.js';
import type { Target } from '../../src/jobs/spec.js';
import { PHASES, type PlanResult, type TaskKind } from '../../src/jobs/tasks.js';

const waiting = (teamId: string, n: number, change: Partial<WaitingTask> = {}): WaitingTask[] =>
  Array.from({ length: n }, (_, i) => ({
    taskId: `${teamId}${i}`,
    attempt: 1,
    teamId,
    priority: 1,
    jobSeq: i,
    layer: -1,
    ...change,
  }));
const use = (change: Partial<TeamUse> = {}): TeamUse => ({ weight: 1, inUse: 0, recentSeconds: 0, ...change });
const byTeam = (tasks: WaitingTask[], team: string) => tasks.filter((task) => task.teamId === team).length;

const planOf = (...choices: Record<number, number>[]): PlanResult => ({
  points: choices.map((ranks, i) => ({
    point: i + 1,
    target: { parameter_ratio: i + 2 },
    allocations: Object.entries(ranks).map(([index, rank]) => ({ index: Number(index), rank, groups: 0 })),
    layers: [],
    error: null,
  })),
});
const unreachable = {
  code: 'unreachable_target' as const,
  detail: '',
  origin: 'input' as const,
  layer: null,
  faults: [],
};

describe('the tasks that follow', () => {
  const task = (kind: TaskKind, layer: number | null = null, point: number | null = null) => ({ kind, layer, point });

  it('go from step to step, one layer task for each layer to solve', () => {
    const plan = planOf({ 3: 8, 5: 8 });
    expect(nextTasks({ kind: 'inspect' })).toEqual([task('plan')]);
    expect(nextTasks({ kind: 'plan', plan, open: 0 })).toEqual([task('layer', 3), task('layer', 5)]);
    expect(nextTasks({ kind: 'assemble', open: 0 })).toEqual([task('evaluate')]);
    expect(nextTasks({ kind: 'evaluate' })).toEqual([]);
  });

  it('go straight to assemble when there is no layer to solve, else only after the last one', () => {
    const assemble = [task('assemble', null, 1)];
    expect(nextTasks({ kind: 'plan', plan: planOf({}), open: 0 })).toEqual(assemble);
    expect(nextTasks({ kind: 'layer', plan: planOf({ 3: 8 }), open: 1 })).toEqual([]);
    expect(nextTasks({ kind: 'layer', plan: planOf({ 3: 8 }), open: 0 })).toEqual(assemble);
  });

  it('solve a layer in one task for all points, assemble every point that can be reached, and wait for all of them', () => {
    const plan = planOf({ 1: 8, 2: 8 }, { 2: 16, 0: 4 }, {});
    expect(nextTasks({ kind: 'plan', plan, open: 0 })).toEqual([0, 1, 2].map((layer) => task('layer', layer)));
    const last = plan.points[2];
    if (last !== undefined) last.error = unreachable;
    expect(nextTasks({ kind: 'layer', plan, open: 0 })).toEqual([1, 2].map((point) => task('assemble', null, point)));
    expect(nextTasks({ kind: 'assemble', open: 1 })).toEqual([]);
  });
});

describe('the choices of a layer', () => {
  it('are solved once for all points that made the same one', () => {
    const plan = planOf({ 0: 8 }, { 0: 16 }, { 0: 8, 1: 4 }, { 0: 24 });
    const last = plan.points[3];
    if (last !== undefined) last.error = unreachable;
    expect(choicesOf(plan, 0).map(({ allocation, points }) => [allocation.rank, points])).toEqual([
      [8, [1, 3]],
      [16, [2]],
    ]);
    expect(choicesOf(plan, 1).map(({ points }) => points)).toEqual([[3]]);
    expect(choicesOf(plan, 7)).toEqual([]);
  });

  it('differ when anything of the allocation does', () => {
    const plan = planOf({ 0: 8 }, { 0: 8 });
    const allocation = plan.points[1]?.allocations[0];
    if (allocation !== undefined) allocation.groups = 4;
    expect(choicesOf(plan, 0)).toHaveLength(2);
  });
});

describe('a specification with several targets', () => {
  const source = { upload: 'upl_x' };
  const given = (change: Record<string, unknown>) => ({ model: source, calibration: source, ...change });
  const targets = [{ parameter_ratio: 4 }, { speedup: 2 }, { max_accuracy_drop: 0.01 }];
  const faults = (change: Record<string, unknown>) => {
    try {
      resolveSpec(given(change));
    } catch (error) {
      if (error instanceof InputError) return error.faults.map(({ pointer }) => pointer);
    }
    return null;
  };

  it('has the first of them as its target, and may be sent again as it was resolved', () => {
    const spec = resolveSpec(given({ targets }));
    expect(spec).toMatchObject({ targets, target: { parameter_ratio: 4 } });
    expect(resolveSpec(spec)).toEqual(spec);
    expect(targetsOf(spec)).toEqual(targets);
  });

  it('is the same as ever with one target', () => {
    const spec = resolveSpec(given({ target: { mac_ratio: 3 } }));
    expect(spec).not.toHaveProperty('targets');
    expect(targetsOf(spec)).toEqual([{ mac_ratio: 3 }]);
  });

  it.each([
    ['neither', {}, ['/target']],
    ['both, and different', { target: { speedup: 2 }, targets }, ['/target']],
    ['none', { targets: [] }, ['/targets']],
    ['too many', { targets: Array.from({ length: 9 }, (_, i) => ({ parameter_ratio: i + 2 })) }, ['/targets']],
    ['the same twice', { targets: [{ speedup: 2 }, { speedup: 2 }] }, ['/targets']],
    ['no list', { targets: { speedup: 2 } }, ['/targets']],
    ['a bad first', { targets: [{ speedup: 'fast' }, { speedup: 2 }] }, ['/targets/0/speedup']],
    ['an unknown one', { targets: [{ speedup: 2 }, { size: 2 }] }, ['/targets/1']],
  ])('is refused with %s, at the right place', (_, change, pointers) => {
    expect(faults(change)).toEqual(pointers);
  });

  it('gets the faults of a target where the target stands', () => {
    const error = new InputError('unreachable_target', 'no', {
      faults: [{ pointer: '/target/speedup', detail: 'at most 2' }],
    });
    const at = (spec: { targets?: Target[] }) => {
      const moved = atTarget(spec, 2, error);
      return moved instanceof InputError ? moved.faults : null;
    };
    expect(at({ targets })).toEqual([{ pointer: '/targets/1/speedup', detail: 'at most 2' }]);
    expect(at({})).toEqual([{ pointer: '/target/speedup', detail: 'at most 2' }]);
  });
});

describe('fair share', () => {
  it('gives places by weight', () => {
    const teams = new Map([
      ['a', use()],
      ['b', use({ weight: 3 })],
    ]);
    const chosen = chooseTasks([...waiting('a', 20), ...waiting('b', 20)], teams, 8);
    expect([byTeam(chosen, 'a'), byTeam(chosen, 'b')]).toEqual([2, 6]);
  });

  it('gives first to the team that has the least in use, and then to the one that used less lately', () => {
    const busy = new Map([
      ['a', use({ inUse: 3 })],
      ['b', use()],
    ]);
    expect(chooseTasks([...waiting('a', 9), ...waiting('b', 9)], busy, 3).map((task) => task.teamId)).toEqual([
      'b',
      'b',
      'b',
    ]);
    const greedy = new Map([
      ['a', use({ recentSeconds: 100 })],
      ['b', use({ recentSeconds: 10 })],
    ]);
    expect(chooseTasks([...waiting('a', 1), ...waiting('b', 1)], greedy, 1)[0]?.teamId).toBe('b');
  });

  it('takes inside a team the priority, then the older job, then the earlier layer', () => {
    const tasks = [
      ...waiting('a', 1, { taskId: 'late layer', jobSeq: 2, layer: 4 }),
      ...waiting('a', 1, { taskId: 'low', priority: 0, jobSeq: 1 }),
      ...waiting('a', 1, { taskId: 'early layer', jobSeq: 2, layer: 3 }),
      ...waiting('a', 1, { taskId: 'high', priority: 2, jobSeq: 9 }),
    ];
    expect(chooseTasks(tasks, new Map(), 4).map((task) => task.taskId)).toEqual([
      'high',
      'early layer',
      'late layer',
      'low',
    ]);
  });

  it('never leaves a place free while a task waits, never gives a task twice, and never starves a team', () => {
    const arbitraryTeam = fc.record({
      n: fc.integer({ min: 0, max: 12 }),
      weight: fc.integer({ min: 1, max: 9 }),
      inUse: fc.integer({ min: 0, max: 9 }),
    });
    fc.assert(
      fc.property(fc.array(arbitraryTeam, { maxLength: 5 }), fc.integer({ min: 0, max: 30 }), (teams, room) => {
        const tasks = teams.flatMap(({ n }, i) => waiting(`t${i}`, n));
        const uses = new Map(teams.map(({ weight, inUse }, i) => [`t${i}`, use({ weight, inUse })]));
        const chosen = chooseTasks(tasks, uses, room);
        expect(chosen).toHaveLength(Math.min(room, tasks.length));
        expect(new Set(chosen.map((task) => task.taskId)).size).toBe(chosen.length);
        // No team with a task left stands below its share when another one was given a place beyond its own.
        for (const [i, a] of teams.entries()) {
          for (const [j, b] of teams.entries()) {
            const [gotA, gotB] = [byTeam(chosen, `t${i}`), byTeam(chosen, `t${j}`)];
            if (i === j || gotA === a.n || gotB === 0) continue;
            expect((b.inUse + gotB) / b.weight).toBeLessThanOrEqual((a.inUse + gotA + 1) / a.weight + 1e-9);
          }
        }
      }),
      { seed: 7, numRuns: 300 },
    );
  });

  it('keeps two tasks in flight for every place, and two when no worker is known', () => {
    expect([releaseRoom(4, 0), releaseRoom(4, 7), releaseRoom(4, 9), releaseRoom(0, 0), releaseRoom(0, 2)]).toEqual([
      8, 1, 0, 2, 0,
    ]);
  });

  it('estimates a place from the own team and the turns of the others', () => {
    expect(estimatePosition(0, 1, [])).toBe(1);
    expect(estimatePosition(4, 1, [])).toBe(5);
    expect(estimatePosition(1, 1, [{ weight: 1, queued: 10 }])).toBe(4);
    expect(estimatePosition(1, 1, [{ weight: 3, queued: 4 }])).toBe(6);
    expect(estimatePosition(1, 2, [{ weight: 1, queued: 10 }])).toBe(3);
  });
});

describe('progress', () => {
  it.each([1, 2, 8])('grows from phase to phase up to the whole, with %i points', (n) => {
    const points = PHASES.flatMap((phase) =>
      [0, 0.5, 1].map((done) => jobFraction({ phase, done, total: 1, points: n })),
    );
    expect(points).toEqual([...points].sort((a, b) => a - b));
    expect(points[0]).toBe(0);
    expect(points.at(-1)).toBeCloseTo(1, 12);
    expect(jobFraction({ phase: 'layers', done: 0, total: 0 })).toBe(
      jobFraction({ phase: 'layers', done: 0, total: 5 }),
    );
  });

  it('estimates the rest from the running time, and says nothing too early or at the end', () => {
    expect(etaSeconds(0.25, 30)).toBeCloseTo(90, 9);
    expect(etaSeconds(0.01, 30)).toBeNull();
    expect(etaSeconds(1, 30)).toBeNull();
  });
});

it('waits twice as long after every failure, up to half a minute', () => {
  expect([1, 2, 3, 7, 50].map(backoffSeconds)).toEqual([0.5, 1, 2, 30, 30]);
});

it('names the media type of an artifact by its ending', () => {
  expect(['model.onnx', 'report.json', 'model.zip', 'noending'].map(artifactContentType)).toEqual([
    'application/octet-stream',
    'application/json',
    'application/zip',
    'application/octet-stream',
  ]);
});
