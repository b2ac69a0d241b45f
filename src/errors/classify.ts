import {
  BugError,
  type ErrorClass,
  type ErrorOptionsExtra,
  InfrastructureError,
  InputError,
  OwnFaultError,
  SparankError,
  type SerializedError,
} from './index.js';
import { storable } from './storable.js';

/**
 * The one place where errors of the runtime, of libraries and of the system get their class. Whoever knows more of an
 * error than its code says so by the class that it throws.
 */

/** Of this machine: its disk, its memory, the limits of its user, what is installed on it. */
const MACHINE = [
  /^(ENOSPC|EDQUOT|EFBIG|EROFS|EACCES|EPERM|EIO|EMFILE|ENFILE|ENOMEM|ENODEV|ENXIO|EAGAIN)$/,
  /^(ERR_DLOPEN_FAILED|ERR_MODULE_NOT_FOUND|MODULE_NOT_FOUND|ERR_WORKER_OUT_OF_MEMORY|GPUOutOfMemoryError)$/,
];
/** Of how it is set up: S3 and PostgreSQL know its credentials no more, or never knew them. */
const CREDENTIALS = [
  /^(AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|ExpiredTokenException|InvalidToken|TokenRefreshRequired)$/,
  /^(CredentialsProviderError|InvalidClientTokenId|UnrecognizedClientException|AuthorizationHeaderMalformed|Forbidden|Unauthorized)$/,
  /^(RequestTimeTooSkewed|NoSuchBucket|PermanentRedirect|InvalidBucketName)$/,
  /^(28\d{3}|28P01|42501|P1000|P1010|AuthenticationFailed|DatabaseAccessDenied)$/,
];
const REFUSED_STATUS = [401, 403];

/** What the runtimes say of memory, in whole phrases: a message may quote names that a client chose. */
const NO_MEMORY =
  /^(Array buffer allocation failed|WebAssembly\.Memory\(\): could not allocate memory|std::bad_alloc|OOM when allocating tensor|.{0,40}CUDA_ERROR_OUT_OF_MEMORY)/;

const NETWORK = /^(ECONN|EPIPE$|ETIMEDOUT$|ENOTFOUND$|EAI_AGAIN$|EHOSTUNREACH$|ENETUNREACH$)/;

const DEPTH = 5;

/** The codes and names of an error, of its causes, and of the driver's details that Prisma nests in `meta`. */
export function* codesOf(error: unknown, depth = 0): Generator<string> {
  if (typeof error !== 'object' || error === null || depth > DEPTH) return;
  const fields = error as Record<string, unknown>;
  for (const name of ['code', 'originalCode', 'kind', 'name']) {
    const code = fields[name];
    if (typeof code === 'string') yield code;
  }
  for (const name of ['cause', 'meta', 'driverAdapterError', 'error']) yield* codesOf(fields[name], depth + 1);
}

/** What makes an error this machine's own fault, or null where nothing does. */
export function ownFault(error: unknown): string | null {
  if (error instanceof OwnFaultError) return error.message;
  for (const code of codesOf(error)) {
    if ([...MACHINE, ...CREDENTIALS].some((pattern) => pattern.test(code))) return code;
  }
  const status = (error as { $metadata?: { httpStatusCode?: number } } | null)?.$metadata?.httpStatusCode;
  if (status !== undefined && REFUSED_STATUS.includes(status)) return String(status);
  return error instanceof Error && NO_MEMORY.test(error.message) ? 'out of memory' : null;
}

/** Any error as one of ours. */
export function asSparankError(error: unknown): SparankError {
  if (error instanceof SparankError) return error;
  const fault = ownFault(error);
  if (fault !== null) return new OwnFaultError('compute_failed', `this machine failed (${fault})`, { cause: error });
  for (const code of codesOf(error)) {
    if (NETWORK.test(code)) return new InfrastructureError('unavailable', `no connection (${code})`, { cause: error });
  }
  const { name, message } = error instanceof Error ? error : { name: 'error', message: String(error) };
  // What the system says of a file names its path.
  const what = error instanceof Error && 'syscall' in error ? name : `${name}: ${message}`;
  return new BugError('internal', `an unexpected error (${what})`, { cause: error });
}

export const classOf = (error: unknown): ErrorClass => asSparankError(error).class;

/** In a form that can be stored, whatever its texts quote. */
export function serializeError(error: unknown): SerializedError {
  const told = asSparankError(error);
  return storable({
    code: told.code,
    detail: told.message,
    class: told.class,
    origin: told.origin,
    layer: told.layer ?? null,
    faults: told.faults,
    ...(told.missing === undefined ? {} : { missing: told.missing }),
  });
}

const MADE_BY = {
  input: InputError,
  outage: InfrastructureError,
  own_fault: OwnFaultError,
  failure: InfrastructureError,
  bug: BugError,
};

export function deserializeError(error: SerializedError): SparankError {
  const extra: ErrorOptionsExtra = { faults: error.faults };
  if (error.layer !== null) extra.layer = error.layer;
  const made = MADE_BY[error.class ?? (error.origin === 'input' ? 'input' : 'failure')];
  return new made(error.code, error.detail, extra);
}
