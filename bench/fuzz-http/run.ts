import { Dice } from './dice.js';
import { fuzzedForm, type Content } from './forms.js';
import { fuzzedHeaders } from './headers.js';
import { group, judge } from './judge.js';
import { fuzzedBody, fuzzedLine } from './lines.js';
import type { FuzzedRequest, Known } from './request.js';
import { send } from './send.js';
import { fuzzedTimes } from './times.js';

/** Connections at a time. */
const AT_ONCE = 12;

export interface HttpFuzz {
  port: number;
  known: Known;
  content: Content;
  seed: number;
  /** Numbers of the requests, the last one not included. */
  from: number;
  to: number;
  onProgress?: (done: number, findings: number) => void;
  onFinding?: (finding: Finding) => void;
}

export interface Finding {
  number: number;
  kind: string;
  how: string;
  what: string;
}

export interface FuzzOutcome {
  /** Answers by kind of request and first digit of the status. */
  counts: Map<string, Map<string, number>>;
  findings: Finding[];
  slowestMs: number;
}

/** The request with this number: the same for the same seed, service and content. */
export function fuzzedRequest(seed: number, number: number, known: Known, content: Content): FuzzedRequest {
  const dice = new Dice(seed, number);
  switch (dice.below(8)) {
    case 0:
      return fuzzedTimes(dice, known);
    case 1:
    case 2:
      return fuzzedHeaders(dice, known);
    case 3:
      return fuzzedLine(dice, known);
    case 4:
      return fuzzedBody(dice, known);
    default:
      return fuzzedForm(dice, known, content);
  }
}

/** Sends them all, some at a time. */
export async function fuzzHttp(fuzz: HttpFuzz): Promise<FuzzOutcome> {
  const outcome: FuzzOutcome = { counts: new Map(), findings: [], slowestMs: 0 };
  let next = fuzz.from;
  let done = 0;
  async function sender(): Promise<void> {
    while (next < fuzz.to) {
      const number = next++;
      const request = fuzzedRequest(fuzz.seed, number, fuzz.known, fuzz.content);
      const begun = performance.now();
      const answer = await send(fuzz.port, request, number);
      if (!request.leaves) outcome.slowestMs = Math.max(outcome.slowestMs, performance.now() - begun);
      const row = outcome.counts.get(request.kind) ?? new Map<string, number>();
      outcome.counts.set(request.kind, row.set(group(answer), (row.get(group(answer)) ?? 0) + 1));
      const what = judge(request, answer);
      if (what !== null) {
        const finding = { number, kind: request.kind, how: request.how, what };
        outcome.findings.push(finding);
        fuzz.onFinding?.(finding);
      }
      done++;
      fuzz.onProgress?.(done, outcome.findings.length);
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, sender));
  return outcome;
}
