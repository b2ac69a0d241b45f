/**
 * Every error a client can see, in one place: a stable code, the HTTP status it maps to, and whose fault it is.
 * Retryable or final is a class, not a string comparison.
 */

/**
 * One fault in the client's input; `pointer` is a JSON pointer into the specification, or `#` and another place, as
 * `#model/...`.
 */
export interface Fault {
  pointer: string;
  detail: string;
}

/** Whose fault it is, as clients see it. */
export type ErrorOrigin = 'input' | 'infrastructure' | 'bug';

/**
 * What is to be done about an error. classify.ts decides it for errors of every kind.
 * - input: the client's. Final.
 * - outage: something that all processes share does not answer. The only one that is waited for, and not for ever.
 * - own_fault: of this machine, or of how it is set up. Another one may do the same work.
 * - failure: an attempt broke down (its process was killed, its worker lost). Another attempt may do.
 * - bug: nobody expected it. Another attempt may do, since it may have come of the others.
 */
export type ErrorClass = 'input' | 'outage' | 'own_fault' | 'failure' | 'bug';

/** The one list of where each class comes from, for clients. */
const ORIGIN: Record<ErrorClass, ErrorOrigin> = {
  input: 'input',
  outage: 'infrastructure',
  own_fault: 'infrastructure',
  failure: 'infrastructure',
  bug: 'bug',
};

const CODES = {
  invalid_request: [400, 'The request is not valid'],
  invalid_spec: [422, 'The job specification is not valid'],
  invalid_model: [422, 'The model cannot be used'],
  invalid_dataset: [422, 'The dataset cannot be used'],
  invalid_archive: [422, 'The archive cannot be used'],
  limit_exceeded: [422, 'A limit was exceeded'],
  payload_too_large: [413, 'The body is too large'],
  unsupported_media_type: [415, 'The media type is not supported'],
  range_not_satisfiable: [416, 'The range is outside the content'],
  digest_mismatch: [400, 'The content does not match its digest'],
  unreachable_target: [422, 'The target cannot be reached'],
  unauthorized: [401, 'A valid API key is needed'],
  forbidden: [403, 'The API key lacks the scope for this call'],
  not_found: [404, 'Not found'],
  gone: [410, 'The content is not stored any more'],
  conflict: [409, 'The resource is not in a state that allows this'],
  idempotency_in_flight: [409, 'A request with this idempotency key is still running'],
  idempotency_mismatch: [422, 'The idempotency key was used with another body'],
  too_many_requests: [429, 'Too many requests'],
  canceled: [409, 'The job was canceled'],
  deadline_exceeded: [408, 'The job did not end before its deadline'],
  numerical_breakdown: [422, 'A numerical breakdown'],
  compute_failed: [500, 'The computation failed'],
  worker_lost: [500, 'The worker was lost'],
  storage_unavailable: [503, 'The storage is not available'],
  unavailable: [503, 'The service is not available'],
  internal: [500, 'Internal error'],
} as const satisfies Record<string, readonly [number, string]>;

export type ErrorCode = keyof typeof CODES;

/** The status that clients see with a code. */
export const statusOf = (code: ErrorCode): number => CODES[code][0];

export interface ErrorOptionsExtra {
  faults?: Fault[];
  /** Name of the network layer the error belongs to. */
  layer?: string;
  /** When the same call can work, where that is known. */
  retryAfterSeconds?: number;
  /** Storage keys of the files that were lost: whoever made them can make them again. */
  missing?: string[];
  cause?: unknown;
}

/** Base of all expected errors. `detail` is safe to show to the client. */
export class SparankError extends Error {
  readonly code: ErrorCode;
  readonly faults: Fault[];
  readonly layer: string | undefined;
  readonly retryAfterSeconds: number | undefined;
  readonly missing: string[] | undefined;

  constructor(code: ErrorCode, detail: string, extra: ErrorOptionsExtra = {}) {
    super(detail, extra.cause === undefined ? undefined : { cause: extra.cause });
    this.name = new.target.name;
    this.code = code;
    this.faults = extra.faults ?? [];
    this.layer = extra.layer;
    this.retryAfterSeconds = extra.retryAfterSeconds;
    this.missing = extra.missing;
  }

  get status(): number {
    return CODES[this.code][0];
  }

  get title(): string {
    return CODES[this.code][1];
  }

  /** What is to be done about it; decided by the JavaScript class, for ours by the code. */
  get class(): ErrorClass {
    if (this.code === 'internal') return 'bug';
    return this.code === 'storage_unavailable' || this.code === 'unavailable' ? 'outage' : 'failure';
  }

  get origin(): ErrorOrigin {
    return ORIGIN[this.class];
  }

  /** Whether trying the same again can help. */
  get retryable(): boolean {
    return this.class !== 'input';
  }
}

/** The client's input is at fault: final, never retried. */
export class InputError extends SparankError {
  override get class(): ErrorClass {
    return 'input';
  }
}

/** Something of ours failed: worth another attempt. */
export class InfrastructureError extends SparankError {}

/** This machine, or how it is set up, is at fault: its disk, its credentials, its device. */
export class OwnFaultError extends InfrastructureError {
  override get class(): ErrorClass {
    return 'own_fault';
  }
}

/** An error that nobody expected. */
export class BugError extends SparankError {
  override get class(): ErrorClass {
    return 'bug';
  }
}

/** Plain form that crosses process boundaries and is stored with a task. */
export interface SerializedError {
  code: ErrorCode;
  detail: string;
  /** Absent in what earlier versions stored. */
  class?: ErrorClass;
  origin: ErrorOrigin;
  layer: string | null;
  faults: Fault[];
  /** As in the options of an error. */
  missing?: string[];
}
