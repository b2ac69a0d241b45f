/** The rules of webhooks, after the Standard Webhooks specification 1.0. */

export const WEBHOOK_TYPES = ['job.succeeded', 'job.failed', 'job.canceled'] as const;
export type WebhookType = (typeof WEBHOOK_TYPES)[number];

/**
 * Seconds to wait after the first, second, ... failed attempt; no entry, no further attempt. The specification's
 * example schedule: ten attempts within about three days.
 */
const SCHEDULE = [5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600];

/** Part of the delay that is added at random, so that what failed together does not come back together. */
const JITTER = 0.2;

/**
 * @param tries failed attempts so far, at least 1
 * @param random 0..1
 * @param askedSeconds the endpoint's `Retry-After`: a longer wait is granted, up to the longest of the schedule
 * @returns seconds until the next attempt, or null when there is none
 */
export function retryDelaySeconds(tries: number, random: number, askedSeconds = 0): number | null {
  const planned = SCHEDULE[tries - 1];
  if (planned === undefined) return null;
  const longest = Math.max(...SCHEDULE);
  return Math.max(planned, Math.min(askedSeconds, longest)) * (1 + JITTER * random);
}

/** What an answer means: any 2xx is success, 410 says that nobody wants any more, everything else is tried again. */
export function verdictOf(status: number | null): 'delivered' | 'gone' | 'retry' {
  if (status === 410) return 'gone';
  return status !== null && status >= 200 && status < 300 ? 'delivered' : 'retry';
}
