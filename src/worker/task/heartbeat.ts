import type { HeartbeatState } from '../../database/repositories.js';

/** Longest time between two beats: how old the progress that clients see may be. */
const LONGEST_MS = 2000;

export interface HeartbeatOptions {
  leaseSeconds: number;
  beat: () => Promise<HeartbeatState>;
  /** Called once, with the first state that is not `ok`. */
  onEnd: (state: 'lost' | 'cancel') => void;
  onError: (error: unknown) => void;
}

/**
 * Keeps the lease of a running task. A database that is away is no reason to stop computing: the lease may still be
 * ours when it is back, and if not, the fence refuses the result.
 */
export class Heartbeat {
  private readonly options: HeartbeatOptions;
  private readonly every: number;
  private timer: NodeJS.Timeout | null = null;
  private beating: Promise<void> | null = null;
  private again = false;
  private listening = true;
  private stopped = false;

  constructor(options: HeartbeatOptions) {
    this.options = options;
    this.every = Math.min((options.leaseSeconds * 1000) / 3, LONGEST_MS);
    this.schedule();
  }

  /** Beats at once: something may have happened to the job. */
  now(): void {
    if (this.stopped) return;
    if (this.beating) this.again = true;
    else this.start();
  }

  /** From here on only the lease is kept: the commit will tell whether the task is still ours. */
  deafen(): void {
    this.listening = false;
  }

  async stop(): Promise<void> {
    this.stopped = true;
    if (this.timer) clearTimeout(this.timer);
    await this.beating;
  }

  private schedule(): void {
    if (this.timer) clearTimeout(this.timer);
    this.timer = this.stopped ? null : setTimeout(() => this.now(), this.every);
  }

  private start(): void {
    this.beating = this.beat().finally(() => {
      this.beating = null;
      if (this.again && !this.stopped) {
        this.again = false;
        this.start();
      } else this.schedule();
    });
  }

  private async beat(): Promise<void> {
    try {
      const state = await this.options.beat();
      if (state === 'ok' || !this.listening || this.stopped) return;
      this.listening = false;
      this.options.onEnd(state);
    } catch (error) {
      this.options.onError(error);
    }
  }
}
