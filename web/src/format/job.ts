import type { Job, Place, Target } from '../api/types.js';
import { percent } from './numbers.js';
import { duration } from './time.js';

const TARGET: Record<string, (asked: number) => string> = {
  parameter_ratio: (asked) => `${asked}× fewer parameters`,
  mac_ratio: (asked) => `${asked}× fewer MACs`,
  nonzero_ratio: (asked) => `${asked}× fewer nonzeros`,
  bytes_ratio: (asked) => `${asked}× fewer bytes`,
  speedup: (asked) => `${asked}× faster`,
  max_accuracy_drop: (asked) => `at most ${percent(asked, 1)} accuracy lost`,
};

export function targetInWords(target: Target): string {
  const [name, asked] = Object.entries<number>(target)[0] ?? ['', 0];
  return TARGET[name]?.(asked) ?? `${name} ${String(asked)}`;
}

export const targetsOf = ({ spec }: Pick<Job, 'spec'>): Target[] => spec.targets ?? [spec.target];

/** Of one kind: 2×, 4×, 8× fewer parameters. */
export function targetsInWords(targets: Target[]): string {
  const words = targets.map(targetInWords);
  const [first = ''] = words;
  if (words.length < 2) return first;
  const rest = first.replace(/^\S+× /, '');
  return rest !== first && words.every((one) => one.endsWith(`× ${rest}`))
    ? `${words.map((one) => one.slice(0, one.indexOf(' '))).join(', ')} ${rest}`
    : `${first} and ${words.length - 1} more`;
}

export const PHASE_NAME: Record<Job['phase'], string> = {
  inspect: 'Inspecting',
  plan: 'Planning',
  layers: 'Solving layers',
  assemble: 'Assembling',
  evaluate: 'Measuring',
};

export const REASON: Record<Place['reason'], string> = {
  waiting_for_worker: 'waits for a free worker',
  higher_priority: 'jobs of the team with a higher priority go first',
  team_limit: 'the team runs as many tasks as it may',
  no_such_worker: 'no live worker has what the job asks for',
};

export const startInWords = ({ expected_start_seconds: seconds }: Place): string =>
  seconds === null ? 'start not known yet' : seconds < 1 ? 'starts now' : `starts in about ${duration(seconds)}`;

export const isOver = ({ status }: Pick<Job, 'status'>): boolean =>
  status === 'succeeded' || status === 'failed' || status === 'canceled';

/** Seconds from the start to the end, or to now. */
export function tookSeconds(job: Pick<Job, 'started_at' | 'finished_at'>, now: number): number | null {
  if (job.started_at === null) return null;
  const end = job.finished_at === null ? now : Date.parse(job.finished_at);
  return Math.max(0, (end - Date.parse(job.started_at)) / 1000);
}

/** What people call it: the file of the model. */
export const jobName = (job: Pick<Job, 'inputs'>): string => job.inputs.model.filename;
