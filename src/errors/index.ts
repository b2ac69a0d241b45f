/**
 * Every error a client can see, in one place: a stable code, the HTTP status it maps to, and whose fault it is.
 * Retryable or final is a class, not a string comparison.
 */

/** One fault in the client's input; `pointer` is a JSON pointer into the specification, or `#` and another place, as `#model/...`. */
export interface Fault {
  pointer: string;
  detail: string;
}

export type ErrorOrigin = 'input' | 'infrastructure';

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

  /** Whose fault it is; decided by the class. */
  get origin(): ErrorOrigin {
    return 'infrastructure';
  }

  /** Whether trying the same again can help. */
  get retryable(): boolean {
    return this.origin === 'infrastructure';
  }
}

/** The client's input is at fault: final, never retried. */
export class InputError extends SparankError {
  override get origin(): ErrorOrigin {
    return 'input';
  }
}

/** Something of ours failed: worth another attempt. */
export class InfrastructureError extends SparankError {}

/** Plain form that crosses process boundaries and is stored with a task. */
export interface SerializedError {
  code: ErrorCode;
  detail: string;
  origin: ErrorOrigin;
  layer: string | null;
  faults: Fault[];
  /** As in the options of an error. */
  missing?: string[];
}

export function serializeError(error: unknown): SerializedError {
  if (error instanceof SparankError) {
    return {
      code: error.code,
      detail: error.message,
      origin: error.origin,
      layer: error.layer ?? null,
      faults: error.faults,
      ...(error.missing === undefined ? {} : { missing: error.missing }),
    };
  }
  const detail = error instanceof Error ? error.message : String(error);
  return { code: 'compute_failed', detail, origin: 'infrastructure', layer: null, faults: [] };
}

export function deserializeError(error: SerializedError): SparankError {
  const extra: ErrorOptionsExtra = { faults: error.faults };
  if (error.layer !== null) extra.layer = error.layer;
  return error.origin === 'input'
    ? new InputError(error.code, error.detail, extra)
    : new InfrastructureError(error.code, error.detail, extra);
}
