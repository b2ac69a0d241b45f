import { Agent, request as send, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http';
import { quantile } from './numbers.js';
import { cpuSeconds } from './process-time.js';

export interface Call {
  method: 'GET' | 'POST';
  path: string;
  headers: OutgoingHttpHeaders;
  body?: string;
}

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

export interface Rate {
  calls: number;
  perSecond: number;
  p50Ms: number;
  p99Ms: number;
  /** Processor time of the serving process per call: less disturbed by other work than the rate. */
  cpuMs: number;
}

function call(agent: Agent, url: string, { method, path, headers, body }: Call): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) };
    const request = send(url + path, { agent, method, headers: { ...headers, ...length } }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }));
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(body);
  });
}

export async function callOnce(url: string, what: Call): Promise<Answer> {
  const agent = new Agent();
  try {
    return await call(agent, url, what);
  } finally {
    agent.destroy();
  }
}

/**
 * Keeps `concurrency` calls in flight for `seconds`, or until `calls` are made, over connections that stay open. An
 * answer other than `expected` ends the bench: a rate of refusals is not a rate.
 */
export async function load(
  { url, pid }: { url: string; pid: number },
  next: () => Call,
  {
    expected,
    concurrency,
    seconds = Infinity,
    calls = Infinity,
  }: { expected: number; concurrency: number; seconds?: number; calls?: number },
): Promise<Rate> {
  const agent = new Agent({ keepAlive: true, maxSockets: concurrency });
  const times: number[] = [];
  const cpuBefore = cpuSeconds(pid);
  const start = performance.now();
  const end = start + seconds * 1000;
  let begunCalls = 0;
  const workerClass = async () => {
    for (let begun = start; begun < end && begunCalls < calls;) {
      begunCalls++;
      begun = performance.now();
      const { status, body } = await call(agent, url, next());
      if (status !== expected) throw new Error(`${status} instead of ${expected}: ${body}`);
      times.push(performance.now() - begun);
    }
  };
  try {
    await Promise.all(Array.from({ length: concurrency }, workerClass));
  } finally {
    agent.destroy();
  }
  const elapsed = (performance.now() - start) / 1000;
  return {
    calls: times.length,
    perSecond: times.length / elapsed,
    p50Ms: quantile(times, 0.5),
    p99Ms: quantile(times, 0.99),
    cpuMs: (1000 * (cpuSeconds(pid) - cpuBefore)) / times.length,
  };
}
