/** A row of the bench, as JSON and in the table. */
import type { Metrics, Verdict } from '../../src/jobs/results.js';
import { mib } from '../support/numbers.js';
import type { Speed } from './sessions.js';
import type { Task } from './tasks.js';

export interface Row {
  network: string;
  target: string;
  /** Of the machine when the job began. */
  load: number;
  failed?: string;
  job?: {
    metrics: Metrics;
    verdict: Verdict | null;
    seconds: number;
    steps: Record<string, number>;
    processor: number;
    peak: number;
  };
  /** By the bench, on evaluation data that the job was not given. */
  fresh?: {
    samples: number;
    error: number;
    agreement: number | null;
    task: Task & { text: string; values: Record<string, number> };
  };
  speed?: Speed[];
}

export const columns = [
  'network',
  'target',
  'parameters',
  'MACs',
  'bytes',
  'verdict',
  'reported error (95 % interval), samples',
  'fresh error, samples',
  'reported agreement',
  'fresh agreement',
  'task, on fresh data',
  'reported speed',
  'speed, measured apart',
  'seconds',
  'processor s',
  'peak MiB',
];

export function rowOf({ network, target, failed, job, fresh, speed }: Row): string[] {
  if (job === undefined) return [network, target, failed ?? '', ...columns.slice(3).map(() => '')];
  const { metrics, verdict, seconds, processor, peak } = job;
  const times = (ratio: number) => `${ratio.toFixed(2)}x`;
  const share = (value: number | null | undefined) => (value == null ? '' : `${(100 * value).toFixed(1)} %`);
  const interval = ([low, high]: readonly number[] = [], show: (value: number) => string) =>
    low === undefined || high === undefined ? '' : `${show(low)} to ${show(high)}`;
  const reported = metrics.latency.map(({ batch, speedup, speedup_ci95: [low = NaN, high = NaN] }) => {
    return `${String(batch)}: ${times(speedup)} (${low.toFixed(2)} to ${high.toFixed(2)})`;
  });
  const apart = speed?.map(({ batch, ratio, range: [low, high] }) => {
    return `${String(batch)}: ${times(ratio)} (${low.toFixed(2)} to ${high.toFixed(2)})`;
  });
  const warned = verdict?.warnings?.map(({ code }) => code).join(', ') ?? '';
  return [
    network,
    target,
    ...[metrics.parameters, metrics.macs, metrics.bytes].map(({ ratio }) => times(ratio)),
    [verdict?.passed === true ? 'passed' : 'failed', warned].filter((text) => text !== '').join(': '),
    `${metrics.fidelity.relative_error.toFixed(3)} (${interval(metrics.fidelity.relative_error_ci95, (x) => x.toFixed(3))}), ${String(metrics.fidelity.samples)} ${metrics.measured_on?.data ?? ''}`,
    fresh === undefined ? '' : `${fresh.error.toFixed(3)}, ${String(fresh.samples)}`,
    `${share(metrics.fidelity.top1_agreement)} (${interval(metrics.fidelity.top1_agreement_ci95, share)})`,
    share(fresh?.agreement),
    fresh?.task.text ?? failed ?? '',
    reported.join(', '),
    apart?.join(', ') ?? '',
    seconds.toFixed(0),
    processor.toFixed(0),
    mib(peak),
  ];
}
