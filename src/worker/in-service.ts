import { setTimeout as sleep } from 'node:timers/promises';
import { asSparankError } from '../errors/classify.js';
import type { SparankError } from '../errors/index.js';
import { storableText } from '../errors/storable.js';
import type { Log } from '../observability/log.js';
import { answerOrAbort } from './backoff.js';

const FIRST_MS = 1000;
const LONGEST_MS = 60_000;

/** Why a worker takes no tasks for now. */
export interface Trouble {
  code: string;
  reason: string;
  /** ISO 8601 */
  since: string;
}

export interface InServiceOptions {
  /** Throws while the worker cannot do its work. */
  probe: (trouble: SparankError) => Promise<void>;
  /** Told when the worker leaves and returns; one call after the other. */
  onChange: (trouble: Trouble | null) => Promise<void>;
  logger: Log;
  /** Ends the probing. */
  signal: AbortSignal;
  /** @defaultValue 1000 */
  firstMs?: number;
}

/**
 * Whether a worker can do its work. One with a fault of its own (a full disk, a wrong secret, no device) would only
 * take tasks from those that can: it leaves, and returns when a probe succeeds.
 */
export class InService {
  private readonly options: InServiceOptions;
  private current: Trouble | null = null;
  private own = false;
  private pauseMs: number;
  private probing: Promise<void> = Promise.resolve();

  constructor(options: InServiceOptions) {
    this.options = options;
    this.pauseMs = options.firstMs ?? FIRST_MS;
  }

  get trouble(): Trouble | null {
    return this.current;
  }

  /** Whether the trouble is this worker's own: a storage that is away for everybody is not. */
  get atFault(): boolean {
    return this.current !== null && this.own;
  }

  /** Resolves when those who route tasks have been told. */
  async leave(fault: SparankError): Promise<void> {
    const { logger, onChange, signal } = this.options;
    if (this.current !== null || signal.aborted) return;
    this.current = describe(fault, new Date().toISOString());
    this.own = fault.class !== 'outage';
    logger.error({ err: fault, trouble: this.current }, 'out of service');
    await onChange(this.current);
    this.probing = this.probe(fault);
  }

  /** A task was done: the next fault is a new one, and not the old one that a probe did not see. */
  worked(): void {
    this.pauseMs = this.options.firstMs ?? FIRST_MS;
  }

  /** Resolves when no probe is under way any more; call it after the signal. */
  ended(): Promise<void> {
    return this.probing;
  }

  private async probe(fault: SparankError): Promise<void> {
    const { probe, onChange, logger, signal } = this.options;
    const since = this.current?.since ?? new Date().toISOString();
    for (;;) {
      await sleep(this.pauseMs, undefined, { signal }).catch(() => undefined);
      this.pauseMs = Math.min(2 * this.pauseMs, LONGEST_MS);
      if (signal.aborted) return;
      try {
        await answerOrAbort(probe(fault), signal);
        break;
      } catch (error) {
        if (signal.aborted) return;
        const last = asSparankError(error);
        this.own = last.class !== 'outage';
        this.current = describe(last, since);
        logger.warn({ err: last, next_ms: this.pauseMs }, 'still out of service');
      }
    }
    this.current = null;
    logger.info({ since }, 'back in service');
    await onChange(null);
  }
}

const describe = ({ code, message }: SparankError, since: string): Trouble => ({
  code,
  reason: storableText(message),
  since,
});
