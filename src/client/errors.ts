import type { Problem } from './types.js';

/** Base of everything that this client throws by itself. */
export class ClientError extends Error {
  override readonly name: string = 'ClientError';
}

export interface Fault {
  /** A JSON pointer into the specification, or another place, as `#query/limit`. */
  pointer: string;
  detail: string;
}

/** The service refused a call. Programs look at `code`. */
export class ServiceError extends ClientError {
  override readonly name = 'ServiceError';
  readonly status: number;
  readonly code: string;
  readonly faults: readonly Fault[];
  readonly requestId: string | undefined;
  /** When the service wants to be asked again. */
  readonly retryAfterSeconds: number | undefined;

  constructor(status: number, problem: Partial<Problem>, retryAfterSeconds?: number) {
    super(problem.detail ?? problem.title ?? `the service answered ${status}`);
    this.status = status;
    this.code = problem.code ?? 'unknown';
    this.faults = problem.errors ?? [];
    this.requestId = problem.request_id;
    this.retryAfterSeconds = retryAfterSeconds;
  }

  /** Where the first fault is. */
  get pointer(): string | undefined {
    return this.faults[0]?.pointer;
  }
}

/** No answer, or one that does not come from Sparank. */
export class ConnectionError extends ClientError {
  override readonly name = 'ConnectionError';
  readonly code = 'unavailable';
}

/** A download did not have the content that the service announced. */
export class DamagedError extends ClientError {
  override readonly name = 'DamagedError';
  readonly code = 'damaged';
}

/** The job ended without a result. */
export class JobEndedError extends ClientError {
  override readonly name = 'JobEndedError';
  readonly jobId: string;
  readonly status: string;
  readonly code: string;
  readonly layer: string | null;

  constructor(id: string, status: string, error: { code: string; detail: string; layer: string | null } | null) {
    super(error === null ? `${id} was ${status}` : `${id} ${status}: ${error.detail} (${error.code})`);
    this.jobId = id;
    this.status = status;
    this.code = error?.code ?? status;
    this.layer = error?.layer ?? null;
  }
}

const retryAfter = (response: Response): number | undefined => {
  const seconds = Number(response.headers.get('retry-after') ?? Number.NaN);
  return Number.isFinite(seconds) ? seconds : undefined;
};

/** What an answer with an error status says. */
export async function errorFrom(response: Response): Promise<ServiceError> {
  let problem: Partial<Problem> = {};
  try {
    problem = (await response.json()) as Partial<Problem>;
  } catch {
    // Not from the service itself: a proxy in between, or the connection broke in the middle.
  }
  return new ServiceError(response.status, problem, retryAfter(response));
}
