import { useQuery, useQueryClient } from '@tanstack/react-query';
import { isOver } from '../format/job.js';
import { get } from './call.js';
import { useStream } from './stream.js';
import type { Job, JobEvent, LayerRow, Page } from './types.js';

const EVENTS_PAGE = 100;
/** Events of one job are few; this is where a page stops that would never end. */
const MOST_EVENTS = 5_000;
const PROGRESS_MS = 2_000;

/** A job, whose page is told of changes by its stream of events; between them its progress moves. */
export function useJob(id: string) {
  const client = useQueryClient();
  const job = useQuery({
    queryKey: ['job', id],
    queryFn: ({ signal }) => get<Job>(`/jobs/${id}`, signal),
    refetchInterval: ({ state }) => (state.data !== undefined && !isOver(state.data) ? PROGRESS_MS : false),
  });
  const open = job.data !== undefined && !isOver(job.data);
  const changed = () => void client.invalidateQueries({ queryKey: ['job', id] });
  const changes = [
    'job.started',
    'job.phase',
    'job.canceling',
    'job.succeeded',
    'job.failed',
    'job.canceled',
    'layer.finished',
    'task.retrying',
  ];
  useStream(open ? `/jobs/${id}/events` : null, Object.fromEntries(changes.map((name) => [name, changed])), {
    onOpen: changed,
  });
  return job;
}

export const useLayers = (id: string, point: number) =>
  useQuery({
    queryKey: ['job', id, 'layers', point],
    queryFn: async ({ signal }) => (await get<{ data: LayerRow[] }>(`/jobs/${id}/layers?point=${point}`, signal)).data,
  });

export const useEvents = (id: string) =>
  useQuery({
    queryKey: ['job', id, 'events'],
    queryFn: async ({ signal }) => {
      const all: JobEvent[] = [];
      for (let after = ''; all.length < MOST_EVENTS;) {
        const page = await get<Page<JobEvent>>(`/jobs/${id}/events?limit=${EVENTS_PAGE}${after}`, signal);
        all.push(...page.data);
        if (page.next === null) break;
        after = `&after=${page.next}`;
      }
      return all;
    },
  });

export interface TaskView {
  id: string;
  kind: string;
  layer: number | null;
  point: number | null;
  state: string;
  attempt: number;
  failures: number;
  hand_backs: number;
  worker_id: string | null;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
  device_seconds: number;
  peak_bytes: number | null;
  error: string | null;
}

export const useTasks = (id: string) =>
  useQuery({
    queryKey: ['job', id, 'tasks'],
    queryFn: async ({ signal }) => (await get<{ data: TaskView[] }>(`/jobs/${id}/tasks`, signal)).data,
  });
