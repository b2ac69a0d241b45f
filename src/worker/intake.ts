import type { Logger } from 'pino';
import type { TaskConsumer } from '../queue/queue.js';

export interface IntakeOptions {
  /** Whether the worker is out of service, for whatever reason. */
  outOfService: () => boolean;
  /** Aborts when the worker stops. */
  stopping: AbortSignal;
  logger: Logger;
}

/** Whether a worker takes tasks: an operator may want it to end its task and take no more; so does its own trouble. */
export class Intake {
  private consumer: TaskConsumer | null = null;
  private draining = false;
  private paused = false;

  constructor(private readonly options: IntakeOptions) {}

  get open(): boolean {
    return this.consumer !== null;
  }

  async begin(consumer: TaskConsumer): Promise<void> {
    this.consumer = consumer;
    await this.settle();
  }

  /** To be called whenever the worker enters or leaves service. */
  async settle(): Promise<void> {
    const { outOfService, stopping } = this.options;
    const wanted = this.draining || outOfService();
    if (this.consumer === null || wanted === this.paused || stopping.aborted) return;
    this.paused = wanted;
    if (wanted) await this.consumer.pause();
    else this.consumer.resume();
  }

  /** Told by the table of workers. */
  async obey(draining: boolean): Promise<void> {
    if (draining === this.draining) return;
    this.draining = draining;
    this.options.logger.info(draining ? 'draining: the worker takes no more tasks' : 'the worker takes tasks again');
    await this.settle();
  }

  /** Takes no more messages; `ended` when what runs has ended, or is given up. */
  async close(ended: () => Promise<unknown>): Promise<void> {
    await this.consumer?.pause();
    await ended();
    await this.consumer?.close(1);
  }
}
