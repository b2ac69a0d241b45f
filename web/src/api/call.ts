import type { Problem } from './types.js';

/** What the service said no with; `network` when it said nothing. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly requestId: string | null;
  readonly faults: { pointer: string; detail: string }[];

  constructor(problem: Partial<Problem> & { detail: string }) {
    super(problem.detail);
    this.name = 'ApiError';
    this.status = problem.status ?? 0;
    this.code = problem.code ?? 'network';
    this.requestId = problem.request_id ?? null;
    this.faults = problem.errors ?? [];
  }
}

export interface CallOptions {
  body?: unknown;
  form?: FormData;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

async function problemOf(response: Response): Promise<ApiError> {
  try {
    return new ApiError((await response.json()) as Problem);
  } catch {
    return new ApiError({ status: response.status, detail: `The service answered ${response.status}.` });
  }
}

/** One call of the interface, with the session of the browser. */
export async function call<T>(method: string, path: string, options: CallOptions = {}): Promise<T> {
  const { body, form, headers, signal } = options;
  const response = await fetch(path, {
    method,
    headers: {
      Accept: 'application/json',
      ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      ...headers,
    },
    ...(form === undefined ? (body === undefined ? {} : { body: JSON.stringify(body) }) : { body: form }),
    ...(signal === undefined ? {} : { signal }),
  }).catch((error: unknown) => {
    if (signal?.aborted === true) throw error;
    throw new ApiError({ detail: 'The service cannot be reached. It may be restarting, or the network is away.' });
  });
  if (!response.ok) throw await problemOf(response);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

export const get = <T>(path: string, signal?: AbortSignal): Promise<T> =>
  call<T>('GET', path, signal === undefined ? {} : { signal });

/** `?a=1&b=2` of what is there. */
export function query(values: Record<string, string | number | boolean | null | undefined>): string {
  const given = Object.entries(values).filter((pair): pair is [string, string | number | boolean] => {
    const [, value] = pair;
    return value !== undefined && value !== null && value !== '';
  });
  if (given.length === 0) return '';
  return `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString()}`;
}
