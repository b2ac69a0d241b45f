import type { JobRow } from '../../../database/records.js';
import type { Database } from '../../../database/repositories.js';
import { placeOf } from '../read.js';
import { presentRow, type JobRowView } from '../schema.js';

/** A change is dated before it is committed: looks overlap, and what was seen is not told again. */
const OVERLAP_MS = 2_000;
/** The same for transactions that took their time, at the looks that nothing asked for. */
const LONG_OVERLAP_MS = 20_000;
/** However fast changes come, so many looks in a second: what changes often is told as it is then. */
const LOOK_EVERY_MS = 200;
const LOOK_AGAIN_MS = 5_000;
const PAGE = 500;

/** A change as followers get it; `data` is the same text for all of them. */
export interface Change {
  /** When it was, in ms: where to go on. */
  at: number;
  jobId: string;
  event: 'job' | 'removed';
  /** Null when the job is gone. */
  row: JobRowView | null;
  data: string;
}

export type Follower = (change: Change) => void;

type Source = Pick<Database, 'jobs' | 'notifications'>;

export async function changeOf(database: Database, job: JobRow): Promise<Change> {
  const row = presentRow(job, await placeOf(database, job));
  return { at: job.updatedAt.getTime(), jobId: job.id, event: 'job', row, data: JSON.stringify(row) };
}

/** All changes since then, in pages; for a follower that comes back. */
export async function* changesSince(database: Database, teamId: string | null, since: number): AsyncGenerator<Change> {
  const told = new Map<string, number>();
  for (let from = since - OVERLAP_MS; ;) {
    const rows = await database.jobs.changes(teamId, new Date(from), PAGE);
    const fresh = rows.filter(({ id, version }) => told.get(id) !== version);
    for (const job of fresh) {
      told.set(job.id, job.version);
      yield await changeOf(database, job);
    }
    const last = rows.at(-1);
    if (last === undefined || rows.length < PAGE) return;
    from = fresh.length === 0 ? last.updatedAt.getTime() + 1 : last.updatedAt.getTime();
  }
}

/** The jobs of a team, or of all teams, as they change: one look at the database for all who follow in this process. */
export class JobFeed {
  private readonly followers = new Set<Follower>();
  /** Versions that were told, with their time. */
  private readonly told = new Map<string, { version: number; at: number }>();
  private running = false;
  private wake: (() => void) | null = null;
  private pending = false;

  constructor(
    private readonly database: Database,
    private readonly teamId: string | null,
    private readonly closing: AbortSignal,
    private readonly onError: (error: unknown) => void,
  ) {}

  /** Changes from now on, until what it returns is called. */
  follow(follower: Follower): () => void {
    this.followers.add(follower);
    if (!this.running) void this.run();
    return () => {
      this.followers.delete(follower);
      if (this.followers.size === 0) this.wake?.();
    };
  }

  private async run(): Promise<void> {
    this.running = true;
    const { notifications } = this.database satisfies Source;
    const team = this.teamId ?? '*';
    const woken = () => {
      this.pending = true;
      this.wake?.();
    };
    const stops = [
      notifications.subscribe(`team:${team}`, woken),
      notifications.subscribe(`removed:${team}`, (jobId) => {
        if (jobId !== undefined) this.remove(jobId);
      }),
    ];
    this.closing.addEventListener('abort', woken);
    try {
      let cursor: number | null = null;
      while (this.followers.size > 0 && !this.closing.aborted) {
        const asked: boolean = this.pending;
        this.pending = false;
        try {
          cursor ??= (await this.database.jobs.now()).getTime();
          cursor = await this.look(cursor, asked ? OVERLAP_MS : LONG_OVERLAP_MS);
        } catch (error) {
          this.onError(error);
        }
        await this.pause(LOOK_EVERY_MS, false);
        await this.pause(LOOK_AGAIN_MS - LOOK_EVERY_MS, true);
      }
    } finally {
      for (const stop of stops) stop();
      this.closing.removeEventListener('abort', woken);
      this.told.clear();
      this.running = false;
      // Who came in the last moment.
      if (this.followers.size > 0 && !this.closing.aborted) void this.run();
    }
  }

  /** Tells what is new since the cursor; returns the next one. */
  private async look(cursor: number, overlap: number): Promise<number> {
    let latest = cursor;
    for (let from = cursor - overlap; ;) {
      const rows = await this.database.jobs.changes(this.teamId, new Date(from), PAGE);
      const fresh = rows.filter(({ id, version }) => this.told.get(id)?.version !== version);
      for (const job of fresh) {
        const at = job.updatedAt.getTime();
        this.told.set(job.id, { version: job.version, at });
        latest = Math.max(latest, at);
        this.tell(await changeOf(this.database, job));
      }
      const last = rows.at(-1);
      if (last === undefined || rows.length < PAGE) break;
      from = last.updatedAt.getTime() + (fresh.length === 0 ? 1 : 0);
    }
    for (const [id, { at }] of this.told) if (at < latest - 2 * LONG_OVERLAP_MS) this.told.delete(id);
    return latest;
  }

  private remove(jobId: string): void {
    this.told.delete(jobId);
    this.tell({ at: Date.now(), jobId, event: 'removed', row: null, data: JSON.stringify({ id: jobId }) });
  }

  private tell(change: Change): void {
    for (const follower of [...this.followers]) follower(change);
  }

  /** So long, or until woken; the end and the last follower's leave always wake it. */
  private async pause(ms: number, untilWoken: boolean): Promise<void> {
    if (untilWoken && this.pending) return;
    if (this.followers.size === 0 || this.closing.aborted) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wake = () => {
        if (!untilWoken && this.followers.size > 0 && !this.closing.aborted) return;
        clearTimeout(timer);
        resolve();
      };
    });
    this.wake = null;
  }
}
