import {
  chooseSwaps,
  chooseTasks,
  releaseRoom,
  settleAccounts,
  type TeamAccount,
} from '../../scheduling/fair-share.js';
import { canRun, PLAIN_LANE } from '../../scheduling/worker-classes.js';
import type { DatabaseContext, Tx } from '../connection/context.js';
import type { LaneRecord } from '../records.js';
import type { PoolRepository } from '../repositories.js';
import { liveLanes } from '../workers/worker-repository.js';
import {
  type LaneTask,
  readAccounts,
  releasedTasks,
  settleCharges,
  waitingTasks,
  writeAccounts,
} from './lane-accounts.js';
import { markReleased, moveReleased, takeBack, takeBackOthers } from './mark-released.js';

/** Any number that no one else uses: one relay at a time chooses. */
const RELAY_LOCK = 712_001;

/** Before the first worker has registered: what anyone can run may wait for it in the queue. */
const NOBODY: LaneRecord = {
  lane: PLAIN_LANE,
  engine: '',
  deviceMemoryBytes: 0,
  class: null,
  workers: 0,
  slots: 0,
  running: 0,
  released: 0,
};

interface Turn {
  lane: LaneRecord;
  accounts: Map<string, TeamAccount>;
  waiting: LaneTask[];
}

interface Choice {
  taskId: string;
  lane: string;
  /** The released task that makes way for it. */
  out: string | null;
}

export function release({ transaction, settings }: DatabaseContext): PoolRepository['release'] {
  return () =>
    transaction(async (tx) => {
      const [lock] = await tx.$queryRaw<{ free: boolean }[]>`select pg_try_advisory_xact_lock(${RELAY_LOCK}) as free`;
      if (lock?.free !== true) return null;
      await settleCharges(tx);
      const live = await liveLanes(tx);
      const lanes = live.length === 0 ? [{ ...NOBODY }] : live;
      await takeBackOthers(tx, lanes);
      // All accounts before any task: who ends a task locks in this order too.
      const settled = new Map<string, Turn>();
      for (const lane of [...lanes].sort((a, b) => (a.lane < b.lane ? -1 : 1)))
        settled.set(lane.lane, await settle(tx, lane, lanes, settings.MAX_RUNNING_TASKS));
      const turns = lanes.flatMap(({ lane }) => settled.get(lane) ?? []);
      if (turns.every(({ waiting }) => waiting.length === 0) && lanes.length === 1) return [];
      const released = await releasedTasks(tx);
      const choices = choose(turns, released);
      const moves = rebalance(turns, released, choices);
      const out = await takeBack(
        tx,
        choices.flatMap(({ out: id }) => (id === null ? [] : [id])),
      );
      return [
        ...(await markReleased(
          tx,
          choices.filter((choice) => choice.out === null || out.has(choice.out)),
        )),
        ...(await moveReleased(tx, moves)),
      ];
    });
}

async function settle(tx: Tx, lane: LaneRecord, lanes: LaneRecord[], limit: number): Promise<Turn> {
  const slots = lanes.reduce((sum, one) => sum + one.slots, 0);
  const { accounts, highest } = await readAccounts(tx, lane.lane, limit);
  const waiting = accounts.size === 0 ? [] : await waitingTasks(tx, lane, Math.max(2, 2 * slots));
  const changed = settleAccounts(accounts, new Set(waiting.map((task) => task.teamId)), highest);
  await writeAccounts(tx, lane.lane, changed);
  for (const [id, account] of changed) accounts.set(id, account);
  return { lane, accounts, waiting };
}

/** A team's task that is in use in one lane counts for its limit in the others too. */
function use(turns: Turn[], lane: LaneRecord, teamId: string, n: 1 | -1): void {
  for (const turn of turns) {
    const account = turn.accounts.get(teamId);
    if (account === undefined) continue;
    if (turn.lane === lane) account.inUse += n;
    else account.limit -= n;
  }
}

/** Lane by lane, those with the least to offer first: fair in each of them, and no task twice. */
function choose(turns: Turn[], released: LaneTask[]): Choice[] {
  const taken = new Set<string>();
  const choices: Choice[] = [];
  for (const { lane, accounts, waiting } of turns) {
    const room = releaseRoom(lane.slots, lane.running + lane.released);
    const open = waiting.filter(({ taskId }) => !taken.has(taskId));
    for (const { taskId, teamId } of chooseTasks(open, accounts, room)) {
      taken.add(taskId);
      lane.released++;
      use(turns, lane, teamId, 1);
      choices.push({ taskId, lane: lane.lane, out: null });
    }
    const left = open.filter(({ taskId }) => !taken.has(taskId));
    if (left.length === 0) continue;
    const held = released.filter((task) => task.lane === lane.lane);
    for (const swap of chooseSwaps(left, held, accounts)) {
      taken.add(swap.in.taskId);
      use(turns, lane, swap.in.teamId, 1);
      use(turns, lane, swap.out.teamId, -1);
      choices.push({ taskId: swap.in.taskId, lane: lane.lane, out: swap.out.taskId });
    }
  }
  return choices;
}

/** A free place for which nothing waits takes over what stands behind running tasks in another lane. */
function rebalance(turns: Turn[], released: LaneTask[], choices: Choice[]): { taskId: string; lane: string }[] {
  const gone = new Set(choices.map(({ out }) => out));
  const moves: { taskId: string; lane: string }[] = [];
  for (const to of turns) {
    const free = () => to.lane.slots - to.lane.running - to.lane.released;
    if (free() <= 0) continue;
    for (const from of turns) {
      const surplus = () => from.lane.released - Math.max(0, from.lane.slots - from.lane.running);
      if (from === to) continue;
      const movable = released.filter(
        (task) => task.lane === from.lane.lane && !gone.has(task.taskId) && canRun(task.needs, to.lane),
      );
      for (const { taskId, teamId } of chooseTasks(movable, unlimited(to.accounts), Math.min(free(), surplus()))) {
        gone.add(taskId);
        from.lane.released--;
        to.lane.released++;
        use(turns, from.lane, teamId, -1);
        use(turns, to.lane, teamId, 1);
        moves.push({ taskId, lane: to.lane.lane });
      }
    }
  }
  return moves;
}

/** What is only moved is within the limits already. */
const unlimited = (accounts: Map<string, TeamAccount>): Map<string, TeamAccount> =>
  new Map([...accounts].map(([id, account]) => [id, { ...account, limit: Infinity }]));

export function unrelease({ prisma }: DatabaseContext): PoolRepository['unrelease'] {
  return async (taskId, attempt) => {
    // The queue may have taken it although its answer was lost: the same attempt again makes adding it a no-op.
    await prisma.$executeRaw`
      update tasks set state = 'waiting', not_before = clock_timestamp() + interval '1 second'
      where id = ${taskId} and attempt = ${attempt} and state = 'released'`;
  };
}
