import { fork, type ChildProcess } from 'node:child_process';
import { deserializeError, ownFault } from '../../errors/classify.js';
import { InfrastructureError, OwnFaultError, type SparankError } from '../../errors/index.js';
import type { StepResult } from '../../jobs/tasks.js';
import { builtModule } from './built-module.js';
import type { FromChild, StepRequest, StepUsage, ToChild } from './child/protocol.js';

/** Lines of the child's error output kept for the log. */
const STDERR_KEPT = 4000;

export interface ComputeOutcome {
  result: StepResult;
  usage: StepUsage;
}

/** A step that failed in the child; `cause` carries what only the log should see. */
export interface ComputeFailure {
  error: SparankError;
  usage: StepUsage | null;
  log: string | null;
}

export class ComputeError extends Error {
  readonly failure: ComputeFailure;
  constructor(failure: ComputeFailure) {
    super(failure.error.message, { cause: failure.error });
    this.failure = failure;
  }
}

interface Running {
  run: number;
  started: number;
  onProgress: (fraction: number) => void;
  onWarning: (text: string) => void;
  resolve: (outcome: ComputeOutcome) => void;
  reject: (error: ComputeError) => void;
}

/**
 * The process that computes. It is started when first needed and stays warm between steps; a crash, or a kill to
 * cancel a step, costs only the step: the next one gets a fresh process.
 */
export class ComputeProcess {
  private readonly module: string;
  private child: ChildProcess | null = null;
  private running: Running | null = null;
  private runs = 0;
  private stderr = '';
  /** Whether the process has ever been able to take a step. */
  private ready = false;

  constructor(module: string = builtModule(import.meta.url, './child/main.js')) {
    this.module = module;
  }

  get pid(): number | null {
    return this.child?.pid ?? null;
  }

  /**
   * Runs one step. Aborting `signal` kills the process at once; the promise rejects with `signal.reason` when the
   * device is free.
   */
  async run(
    request: StepRequest,
    signal: AbortSignal,
    onProgress: (fraction: number) => void,
    onWarning: (text: string) => void = () => undefined,
  ): Promise<ComputeOutcome> {
    if (this.running) throw new Error('the compute process is busy');
    signal.throwIfAborted();
    const child = this.child ?? this.start();
    const run = ++this.runs;
    const onAbort = () => child.kill('SIGKILL');
    signal.addEventListener('abort', onAbort);
    try {
      return await new Promise<ComputeOutcome>((resolve, reject) => {
        this.running = { run, started: performance.now(), onProgress, onWarning, resolve, reject };
        const message: ToChild = { type: 'run', run, request };
        // A send that fails means that the process is gone; its 'exit' settles the promise.
        child.send(message, () => undefined);
      });
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** Kills the process, and with it a running step, and waits for its end. */
  async stop(): Promise<void> {
    const child = this.child;
    if (!child) return;
    const ended = new Promise<void>((done) => child.once('close', () => done()));
    child.kill('SIGKILL');
    await ended;
  }

  private start(): ChildProcess {
    const child = fork(this.module, [], {
      execArgv: [],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      env: { ...process.env, SPARANK_PARENT_PID: String(process.pid), NODE_OPTIONS: '' },
    });
    this.child = child;
    this.stderr = '';
    this.ready = false;
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr = (this.stderr + text).slice(-STDERR_KEPT);
    });
    child.on('message', (message: FromChild) => this.receive(message));
    child.on('error', (error) => this.ended(child, error.message, ownFault(error)));
    child.on('close', (code, signal) => this.ended(child, signal ?? `exit code ${code ?? 'unknown'}`));
    return child;
  }

  private receive(message: FromChild): void {
    const running = this.running;
    this.ready = true;
    if (message.type === 'ready' || !running || message.run !== running.run) return;
    if (message.type === 'progress') {
      running.onProgress(message.fraction);
      return;
    }
    if (message.type === 'warning') {
      running.onWarning(message.text);
      return;
    }
    this.running = null;
    if (message.type === 'done') running.resolve({ result: message.result, usage: message.usage });
    else {
      running.reject(
        new ComputeError({ error: deserializeError(message.error), usage: message.usage, log: message.stack }),
      );
    }
  }

  private ended(child: ChildProcess, how: string, fault: string | null = null): void {
    if (this.child !== child) return;
    this.child = null;
    const running = this.running;
    this.running = null;
    if (!running) return;
    const killed = how === 'SIGKILL';
    const hint = killed ? ' (killed, possibly for lack of memory)' : '';
    // One that could not even start has nothing to do with the step: a library is missing, or its rights.
    const unfit = fault !== null || (!this.ready && !killed);
    const error = unfit
      ? new OwnFaultError('compute_failed', `the compute process does not start (${how})`)
      : new InfrastructureError('compute_failed', `the compute process ended with ${how}${hint}`);
    running.reject(new ComputeError({ error, usage: null, log: this.stderr === '' ? null : this.stderr }));
  }
}
