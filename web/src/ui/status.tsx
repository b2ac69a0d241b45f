import type { JobStatus } from '../api/types.js';
import { Icon, type IconName } from './icon.js';

const LOOK: Record<JobStatus, { name: string; icon: IconName; kind: string }> = {
  queued: { name: 'Queued', icon: 'clock', kind: '' },
  running: { name: 'Running', icon: 'running', kind: 'is-active' },
  canceling: { name: 'Canceling', icon: 'running', kind: 'is-active' },
  succeeded: { name: 'Succeeded', icon: 'check', kind: 'is-good' },
  failed: { name: 'Failed', icon: 'alert', kind: 'is-bad' },
  canceled: { name: 'Canceled', icon: 'stop', kind: '' },
};

export const statusName = (status: JobStatus): string => LOOK[status].name;

export function Status({ status, missed = false }: { status: JobStatus; missed?: boolean }) {
  const { name, icon, kind } =
    missed && status === 'succeeded' ? { name: 'Missed', icon: 'alert' as const, kind: 'is-warn' } : LOOK[status];
  return (
    <span className={`badge ${kind}`}>
      <Icon name={icon} size={13} /> {name}
    </span>
  );
}
