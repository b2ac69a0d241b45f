import type { FuzzedRequest } from './request.js';
import type { Answer, Outcome } from './send.js';

const PROBLEM = 'application/problem+json';
/** Statuses that say where the fault is; the others are about the key, the route or the method. */
const WITH_POINTER = new Set([400, 406, 413, 414, 415, 422, 431]);
/** Words of programs, not of answers to clients. */
const INTERNAL = /FST_|Multipart:|ERR_|\bat \w+ \(|node_modules|prisma|undefined|\[object|NaN/i;

/** Whether the client said it itself, percent-encoded or cut into chunks perhaps. */
function saidBefore({ bytes }: FuzzedRequest, word: string): boolean {
  const text = bytes.toString('latin1');
  const decoded = text.replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  const joined = text.replaceAll(/\r\n[0-9a-f]+\r\n/gi, '');
  return `${text} ${decoded} ${joined}`.toLowerCase().includes(word.toLowerCase());
}

interface Problem {
  detail?: unknown;
  code?: unknown;
  status?: unknown;
  errors?: { pointer?: unknown; detail?: unknown }[];
}

function problemOf(body: string): Problem | null {
  try {
    return JSON.parse(body) as Problem;
  } catch {
    return null;
  }
}

function judgeRefusal({ status, headers, body }: Answer, request: FuzzedRequest): string | null {
  const type = headers.get('content-type') ?? '';
  // Pages for browsers, answers to HEAD, and Node's own answer to an expectation; the dashboard speaks for itself.
  if (type.startsWith('text/html') || body === '' || request.bytes.includes(' /admin/queues')) return null;
  if (!type.startsWith(PROBLEM)) return `${String(status)} as ${type}: ${body.slice(0, 200)}`;
  const problem = problemOf(body);
  if (problem === null) return `${String(status)} with a broken problem: ${body.slice(0, 200)}`;
  const { detail, errors } = problem;
  if (problem.status !== status || typeof problem.code !== 'string')
    return `not a whole problem: ${body.slice(0, 200)}`;
  if (typeof detail !== 'string' || detail.length < 5) return `${String(status)} says nothing: ${body.slice(0, 200)}`;
  const said = INTERNAL.exec(detail)?.[0];
  if (said !== undefined && !saidBefore(request, said))
    return `${String(status)} speaks of ${said}: ${detail.slice(0, 200)}`;
  if (!WITH_POINTER.has(status)) return null;
  const pointed = errors?.some(({ pointer }) => typeof pointer === 'string') === true;
  return pointed ? null : `${String(status)} without a pointer: ${detail.slice(0, 200)}`;
}

/** What is wrong with the answer, or null. */
export function judge(request: FuzzedRequest, outcome: Outcome): string | null {
  if (outcome === 'late') return request.leaves ? null : 'no answer in time';
  if (outcome === 'cut') return request.leaves ? null : 'the connection ended without an answer';
  if (outcome.status >= 500 || outcome.status < 200) return `${String(outcome.status)}: ${outcome.body.slice(0, 300)}`;
  return outcome.status >= 400 ? judgeRefusal(outcome, request) : null;
}

/** How it ended, to be counted. */
export const group = (outcome: Outcome): string =>
  typeof outcome === 'string' ? 'no answer' : `${String(outcome.status).slice(0, 1)}xx`;
