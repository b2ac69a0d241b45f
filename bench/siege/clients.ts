import { setTimeout as sleep } from 'node:timers/promises';
import { type Deployment, KEY } from './deployment.js';

/** What the clients of a soak got; a 5xx other than 503 is a bug, whatever happens behind the API. */
export interface ClientCounts {
  answers: Map<number, number>;
  broken: number;
  serverErrors: string[];
}

interface Call {
  method?: string;
  path: string;
  headers?: Record<string, string>;
  body?: string | Uint8Array;
  /** ms after which the client goes away. */
  leaveMs?: number;
}

const ANSWER_MS = 10_000;
const UPLOAD_BYTES = 1 << 20;

function draw(id: string, random: () => number): Call {
  const json = { 'content-type': 'application/json' };
  const calls: Call[] = [
    { path: '/jobs?limit=5' },
    { path: `/jobs/${id}` },
    { path: `/jobs/${id}`, headers: { prefer: 'wait=3' } },
    { path: `/jobs/${id}/layers` },
    { path: `/jobs/${id}/events` },
    { path: `/jobs/${id}/events`, headers: { accept: 'text/event-stream' }, leaveMs: 500 + random() * 3000 },
    { path: `/jobs/${id}/artifacts/model.onnx`, leaveMs: random() * 50 },
    { path: `/jobs/${id}/artifacts/report.json`, headers: { range: 'bytes=0-9' } },
    { path: '/pool' },
    { path: '/usage' },
    { path: '/metrics' },
    { path: '/jobs/job_of_no_one' },
    { method: 'POST', path: '/jobs', headers: json, body: '{"target": {}}' },
    { method: 'POST', path: '/jobs', headers: json, body: '{"target":' },
    { method: 'POST', path: '/jobs', headers: json, body: JSON.stringify({ model: { upload: 'upl_of_no_one' } }) },
    {
      method: 'POST',
      path: '/uploads?filename=noise.bin',
      headers: { 'content-type': 'application/octet-stream' },
      body: Buffer.alloc(UPLOAD_BYTES, Math.floor(random() * 256)),
      leaveMs: random() * 40,
    },
  ];
  return calls[Math.floor(random() * calls.length)] ?? { path: '/healthz' };
}

/**
 * One client after the other, until `over`: pollers, dashboards, downloads, bad requests, and many that leave early.
 */
export async function runClients(
  { client }: Deployment,
  random: () => number,
  { over, jobId, counts }: { over: () => boolean; jobId: () => string; counts: ClientCounts },
): Promise<void> {
  while (!over()) {
    const { method = 'GET', path, headers = {}, body, leaveMs } = draw(jobId(), random);
    const signal = AbortSignal.timeout(Math.round(leaveMs ?? ANSWER_MS));
    try {
      const response = await fetch(client.url + path, {
        method,
        headers: { authorization: `Bearer ${KEY}`, ...headers },
        ...(body === undefined ? {} : { body }),
        signal,
      });
      counts.answers.set(response.status, (counts.answers.get(response.status) ?? 0) + 1);
      const text = await response.text();
      if (response.status >= 500 && response.status !== 503)
        counts.serverErrors.push(`${method} ${path}: ${String(response.status)} ${text.slice(0, 300)}`);
    } catch {
      counts.broken++;
    }
    await sleep(random() * 300);
  }
}
