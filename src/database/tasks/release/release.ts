import {
  byStanding,
  chooseSwaps,
  chooseTasks,
  mayBeSwaps,
  releaseRoom,
  settleAccounts,
  usualCost,
  type TeamAccount,
} from '../../../scheduling/fair-share.js';
import { canRun, PLAIN_CLASS } from '../../../scheduling/worker-classes.js';
import type { DatabaseContext, Run } from '../../connection/context.js';
import type { WorkerClass } from '../../records.js';
import type { PoolRepository } from '../../repositories.js';
import { classesOf, liveOffers } from '../../workers/worker-repository.js';
import {
  highestAccount,
  type InUse,
  type ClassAccount,
  type ClassTask,
  readAccounts,
  releasedTasks,
  settleCharges,
  tasksInUse,
  waitingTasks,
  writeAccounts,
} from './class-accounts.js';
import { markReleased, moveReleased, takeBack, takeBackOthers } from './mark-released.js';

/** Any number that no one else uses: one relay at a time chooses. */
const RELAY_LOCK = 712_001;
/** Of a worker class in one turn: a swap costs as much as a release, and the next turn makes more. */
const MOST_SWAPS = 64;
const SWAPS_OF_TEAM = 16;

/** Before the first worker has registered: what anyone can run may wait for it in the queue. */
const NOBODY: WorkerClass = {
  name: PLAIN_CLASS,
  engine: '',
  deviceMemoryBytes: 0,
  class: null,
  workers: 0,
  slots: 0,
  running: 0,
  released: 0,
};

interface Turn {
  workerClass: WorkerClass;
  accounts: Map<string, ClassAccount>;
}

interface Choice {
  taskId: string;
  workerClass: string;
  /** The released task that makes way for it. */
  out: string | null;
}

/**
 * One turn: reads what every team has in use and where it stands, and the tasks of those teams only that may get a
 * place now. Its time grows with the teams that want something and with the workers, but not with what waits or what
 * the tables hold; and the more workers, the more places it fills.
 */
export function release({ inTransaction, settings }: DatabaseContext): PoolRepository['release'] {
  return () =>
    inTransaction(async (run) => {
      // The first task of a team comes from the index in its order; sorting all that wait costs more the more they are.
      const [lock] = await run<{ free: boolean }>(
        'relay lock',
        `select pg_try_advisory_xact_lock($1) as free, set_config('enable_bitmapscan', 'off', true)`,
        [RELAY_LOCK],
      );
      if (!lock?.free) return null;
      await settleCharges(run);
      const offers = await liveOffers(run);
      let inUse = await tasksInUse(run);
      const live = () =>
        offers.length === 0
          ? [{ ...NOBODY }]
          : classesOf(
              offers,
              inUse.map((one) => ({ ...one, name: one.workerClass, running: one.running - one.draining })),
            );
      if ((await takeBackOthers(run, live())) > 0) inUse = await tasksInUse(run);
      const turns: Turn[] = [];
      for (const workerClass of live()) turns.push(await settle(run, workerClass, inUse, settings.MAX_RUNNING_TASKS));
      const choices = await choose(run, turns);
      const moves = await rebalance(run, turns, choices);
      const out = await takeBack(
        run,
        choices.flatMap(({ out: id }) => (id === null ? [] : [id])),
      );
      return [
        ...(await markReleased(
          run,
          choices.filter((choice) => choice.out === null || out.has(choice.out)),
        )),
        ...(await moveReleased(run, moves)),
      ];
    });
}

async function settle(run: Run, workerClass: WorkerClass, inUse: InUse[], limit: number): Promise<Turn> {
  const accounts = await readAccounts(run, workerClass, inUse, limit);
  if (accounts.size === 0) return { workerClass, accounts };
  const waiting = new Set([...accounts].flatMap(([id, { next }]) => (next === null ? [] : [id])));
  const changed = settleAccounts(accounts, waiting, await highestAccount(run, workerClass.name));
  await writeAccounts(run, workerClass.name, changed);
  for (const [id, account] of changed) accounts.set(id, account);
  return { workerClass, accounts };
}

/** A team's task that is in use in one worker class counts for its limit in the others too. */
function use(turns: Turn[], workerClass: WorkerClass, teamId: string, n: 1 | -1): void {
  for (const turn of turns) {
    const account = turn.accounts.get(teamId);
    if (account === undefined) continue;
    if (turn.workerClass === workerClass) account.inUse += n;
    else account.limit -= n;
  }
}

/** Class by class, those with the least to offer first: fair in each of them, and no task twice. */
async function choose(run: Run, turns: Turn[]): Promise<Choice[]> {
  const taken = new Set<string>();
  const choices: Choice[] = [];
  let released: ClassTask[] | null = null;
  for (const { workerClass, accounts } of turns) {
    const room = releaseRoom(
      workerClass.slots,
      workerClass.running + workerClass.released,
      usualCost(accounts.values()),
    );
    const maySwap = () => mayBeSwaps(accounts.values());
    if (room === 0 && !maySwap()) continue;
    const { open, chosen } = await firstTasks(run, { workerClass, accounts }, room, taken);
    for (const { taskId, teamId } of chosen) {
      taken.add(taskId);
      workerClass.released++;
      use(turns, workerClass, teamId, 1);
      choices.push({ taskId, workerClass: workerClass.name, out: null });
    }
    const left = open.filter(({ taskId }) => !taken.has(taskId));
    if (left.length === 0 || !maySwap()) continue;
    released ??= await releasedTasks(run);
    const held = released.filter((task) => task.workerClass === workerClass.name);
    for (const swap of chooseSwaps(left, held, accounts, MOST_SWAPS)) {
      taken.add(swap.in.taskId);
      use(turns, workerClass, swap.in.teamId, 1);
      use(turns, workerClass, swap.out.teamId, -1);
      choices.push({ taskId: swap.in.taskId, workerClass: workerClass.name, out: swap.out.taskId });
    }
  }
  return choices;
}

/**
 * The tasks that get a place, from those of the teams that stand lowest: a place raises the team that gets it, so no
 * other team can have a turn before as many teams as there are places. When all that was read of a team was chosen,
 * more of it is read.
 */
async function firstTasks(
  run: Run,
  { workerClass, accounts }: Turn,
  room: number,
  taken: ReadonlySet<string>,
): Promise<{ open: ClassTask[]; chosen: ClassTask[] }> {
  const teams = byStanding(accounts, room + MOST_SWAPS);
  let most =
    (mayBeSwaps(accounts.values()) ? SWAPS_OF_TEAM : 2) + Math.ceil(room / Math.max(1, teams.length)) + taken.size;
  for (;;) {
    const read = teams.length === 0 ? [] : await waitingTasks(run, workerClass, teams, most);
    const open = read.filter(({ taskId }) => !taken.has(taskId));
    const chosen = chooseTasks(open, accounts, room);
    const count = (tasks: ClassTask[]) => {
      const counts = new Map<string, number>();
      for (const { teamId } of tasks) counts.set(teamId, (counts.get(teamId) ?? 0) + 1);
      return counts;
    };
    const [readOf, openOf, chosenOf] = [count(read), count(open), count(chosen)];
    const exhausted = teams.some(
      (id) => readOf.get(id) === most && openOf.get(id) === (chosenOf.get(id) ?? 0) && chosen.length > 0,
    );
    if (!exhausted || most > room + taken.size + 1) return { open, chosen };
    most *= 4;
  }
}

/** A free place for which nothing waits takes over what stands behind running tasks in another class. */
async function rebalance(
  run: Run,
  turns: Turn[],
  choices: Choice[],
): Promise<{ taskId: string; workerClass: string }[]> {
  const free = ({ workerClass }: Turn) => workerClass.slots - workerClass.running - workerClass.released;
  const surplus = ({ workerClass }: Turn) =>
    workerClass.released - Math.max(0, workerClass.slots - workerClass.running);
  if (turns.length < 2 || !turns.some((one) => free(one) > 0) || !turns.some((one) => surplus(one) > 0)) return [];
  const released = await releasedTasks(run);
  const gone = new Set(choices.map(({ out }) => out));
  const moves: { taskId: string; workerClass: string }[] = [];
  for (const to of turns) {
    if (free(to) <= 0) continue;
    for (const from of turns) {
      if (from === to) continue;
      const movable = released.filter(
        (task) =>
          task.workerClass === from.workerClass.name && !gone.has(task.taskId) && canRun(task.needs, to.workerClass),
      );
      const places = Math.min(free(to), surplus(from));
      for (const { taskId, teamId } of chooseTasks(movable, unlimited(to.accounts), places)) {
        gone.add(taskId);
        from.workerClass.released--;
        to.workerClass.released++;
        use(turns, from.workerClass, teamId, -1);
        use(turns, to.workerClass, teamId, 1);
        moves.push({ taskId, workerClass: to.workerClass.name });
      }
    }
  }
  return moves;
}

/** What is only moved is within the limits already. */
const unlimited = (accounts: Map<string, TeamAccount>): Map<string, TeamAccount> =>
  new Map([...accounts].map(([id, account]) => [id, { ...account, limit: Infinity }]));

export function unrelease({ prepared }: DatabaseContext): PoolRepository['unrelease'] {
  return async (tasks) => {
    // The queue may have taken them although its answer was lost: the same attempt again makes adding it a no-op.
    await prepared(
      'unrelease',
      `update tasks set state = 'waiting', not_before = clock_timestamp() + interval '1 second'
       from unnest($1::text[], $2::int[]) as one(id, attempt)
       where tasks.id = one.id and tasks.attempt = one.attempt and state = 'released'`,
      [tasks.map(({ taskId }) => taskId), tasks.map(({ attempt }) => attempt)],
    );
  };
}
