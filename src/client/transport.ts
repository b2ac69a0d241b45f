import { ConnectionError, errorFrom, ServiceError } from './errors.js';
import { pause } from './waiting.js';

export interface Retry {
  attempt: number;
  error: ConnectionError | ServiceError;
  inSeconds: number;
}

export interface TransportOptions {
  /** Where the service is, as https://sparank.example. */
  url: string;
  /** Absent where something else says who calls, as the cookie of a page. */
  apiKey?: string | undefined;
  /** For how long a call is tried again while the service is away or busy; default: 60. */
  patienceSeconds?: number | undefined;
  /** Told before every further try. */
  onRetry?: ((retry: Retry) => void) | undefined;
  fetch?: typeof globalThis.fetch | undefined;
}

/** What `fetch` sends. */
export type Body = NonNullable<RequestInit['body']>;

export interface Call {
  method?: string;
  headers?: Record<string, string>;
  /** Made anew for every try: a stream can be read only once. */
  body?: () => Body;
  signal?: AbortSignal | undefined;
  /** The same call may arrive twice; default: all but POST and PATCH. */
  safe?: boolean;
  patienceSeconds?: number | undefined;
}

const PATIENCE_SECONDS = 60;
const FIRST_DELAY_SECONDS = 0.25;
const LONGEST_DELAY_SECONDS = 8;
/** The service was not there to take the call, or said that it did nothing with it. */
const REFUSED = new Set([429, 503]);
/** It may have done it. */
const UNKNOWN = new Set([502, 504]);
const BEFORE_SENDING = /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT)$/;
const CAUSES = 5;

/** The code that is deep in what `fetch` throws, whose own message is always the same; '' in browsers. */
function codeOf(error: unknown): string {
  let at: unknown = error;
  for (let depth = 0; depth < CAUSES && typeof at === 'object' && at !== null; depth++) {
    const { code, cause, errors } = at as { code?: unknown; cause?: unknown; errors?: unknown };
    if (typeof code === 'string' && /^[A-Z][A-Z0-9_]+$/.test(code)) return code;
    at = cause ?? (Array.isArray(errors) ? (errors as unknown[])[0] : undefined);
  }
  return '';
}

/** Calls of the service: who calls, what an error is, and when a call is made again. */
export class Transport {
  readonly url: string;
  readonly #options: TransportOptions;

  constructor(options: TransportOptions) {
    if (!URL.canParse(options.url) || !/^https?:$/.test(new URL(options.url).protocol))
      throw new TypeError(`the URL of the service must begin with http:// or https://, not ${options.url}`);
    this.url = options.url.replace(/\/+$/, '');
    this.#options = options;
  }

  /** @throws ServiceError, ConnectionError, or the reason of the signal */
  async send(path: string, call: Call = {}): Promise<Response> {
    const safe = call.safe ?? !['POST', 'PATCH'].includes(call.method ?? 'GET');
    const patience = call.patienceSeconds ?? this.#options.patienceSeconds ?? PATIENCE_SECONDS;
    const until = Date.now() + patience * 1000;
    for (let attempt = 1; ; attempt++) {
      call.signal?.throwIfAborted();
      const { response, error, again } = await this.#try(path, call, safe);
      if (response !== undefined) return response;
      const growing = Math.min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** (attempt - 1));
      // Spread, so that many clients do not come back to a service that has started at the same moment.
      const inSeconds = (error instanceof ServiceError ? error.retryAfterSeconds : undefined) ?? spread(growing);
      if (!again || Date.now() + inSeconds * 1000 > until) throw error;
      this.#options.onRetry?.({ attempt, error, inSeconds });
      await pause(inSeconds * 1000, call.signal);
    }
  }

  /** @throws as `send` does, and ConnectionError when the answer is not the service's */
  async json<T>(path: string, call: Call = {}): Promise<T> {
    return this.read<T>(await this.send(path, call));
  }

  /** What the service sends is JSON; a page of a proxy, or of another program at this address, is not. */
  async read<T>(response: Response): Promise<T> {
    const text = await response.text();
    try {
      return JSON.parse(text) as T;
    } catch (cause) {
      throw this.#stranger(response, cause);
    }
  }

  /** For openapi-fetch. */
  readonly fetch = async (request: Request): Promise<Response> => {
    const body = request.body === null ? undefined : await request.arrayBuffer();
    const response = await this.send(request.url.slice(this.url.length), {
      method: request.method,
      headers: Object.fromEntries(request.headers),
      signal: request.signal,
      ...(body === undefined ? {} : { body: () => body }),
      ...(request.headers.has('idempotency-key') ? { safe: true } : {}),
    });
    if (/html/.test(response.headers.get('content-type') ?? '')) throw this.#stranger(response);
    return response;
  };

  async #try(
    path: string,
    { method = 'GET', headers, body, signal }: Call,
    safe: boolean,
  ): Promise<
    | { response: Response; error?: undefined; again?: undefined }
    | { response?: undefined; error: ConnectionError | ServiceError; again: boolean }
  > {
    const { apiKey, fetch: given = globalThis.fetch } = this.#options;
    const content = body?.();
    const init = {
      method,
      headers: { ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }), ...headers },
      ...(content === undefined ? {} : { body: content }),
      // Streams are sent while they are read; required of whoever sends one.
      ...(content instanceof ReadableStream ? { duplex: 'half' } : {}),
      ...(signal === undefined ? {} : { signal }),
    } as RequestInit;
    let response: Response;
    try {
      response = await given(this.url + path, init);
    } catch (cause) {
      signal?.throwIfAborted();
      const code = codeOf(cause);
      const reason = `cannot be reached${code === '' ? '' : ` (${code})`}`;
      return { error: this.#trouble(reason, cause), again: safe || BEFORE_SENDING.test(code) };
    }
    if (response.ok || response.status === 304) return { response };
    const error = await errorFrom(response);
    const busy = REFUSED.has(error.status) || error.code === 'idempotency_in_flight';
    return { error, again: busy || (safe && UNKNOWN.has(error.status)) };
  }

  #stranger(response: Response, cause?: unknown): ConnectionError {
    const type = response.headers.get('content-type') ?? 'nothing';
    return this.#trouble(`does not answer as Sparank does (it sent ${type}): is that its URL?`, cause);
  }

  #trouble(what: string, cause?: unknown): ConnectionError {
    return new ConnectionError(`the service at ${new URL(this.url).origin} ${what}`, { cause });
  }
}

const spread = (seconds: number) => seconds * (0.5 + Math.random() / 2);
