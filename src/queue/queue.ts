import type { BaseAdapter } from '@bull-board/api/baseAdapter';

/**
 * The port to the queue: it carries messages and nothing else. What a message means, whether it is still wanted and
 * what comes next is PostgreSQL's business, so that the queue may lose or repeat any of them.
 */

export interface TaskMessage {
  taskId: string;
  attempt: number;
  /** The workers that it is for (src/scheduling/worker-classes.ts); absent: those without anything particular. */
  workerClass?: string;
}

export interface TaskQueue {
  /** Adding a message that is already there does nothing. */
  add(message: TaskMessage): Promise<void>;
  /** Messages for one worker class, in their order, with one call. When it fails, some may have been added. */
  addAll(messages: readonly TaskMessage[]): Promise<void>;
  /** True while it waits or is being handled. */
  has(message: TaskMessage): Promise<boolean>;
  /** Over these classes, and those that this process has added to. */
  depth(classes?: readonly string[]): Promise<{ waiting: number; active: number }>;
  /** Throws when the backend does not answer. */
  check(): Promise<void>;
  /** What of the backend's settings endangers messages, one sentence each. */
  advice(): Promise<string[]>;
  /** Starts to hand out the messages for a worker class, `concurrency` at a time. */
  consume(handle: TaskHandler, options: { concurrency: number; workerClass?: string }): Promise<TaskConsumer>;
  /** For the operators' dashboard: the messages for every class, to look at. */
  boards(classes?: readonly string[]): BaseAdapter[];
  close(): Promise<void>;
}

/** Its error is logged and the message dropped: a handler has recorded what happened in PostgreSQL. */
export type TaskHandler = (message: TaskMessage) => Promise<void>;

export interface TaskConsumer {
  /** Takes no more messages, and gives back what is on its way; handlers that run go on. */
  pause(): Promise<void>;
  /** Takes messages again. */
  resume(): void;
  /** Waits for running handlers until the deadline, then lets go of them. */
  close(deadlineSeconds: number): Promise<void>;
}
