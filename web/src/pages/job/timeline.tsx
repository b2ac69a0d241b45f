import { type TaskView, useEvents, useTasks } from '../../api/job.js';
import { useLayers } from '../../api/job.js';
import type { Job, JobEvent } from '../../api/types.js';
import { shortName } from '../../format/layer.js';
import { bytes } from '../../format/numbers.js';
import { clock, duration, moment } from '../../format/time.js';
import { useNow } from '../../ui/now.js';
import { Loaded } from '../../ui/query.js';

const KIND: Record<string, string> = {
  inspect: 'Inspect',
  plan: 'Plan',
  layer: 'Layer',
  assemble: 'Assemble',
  evaluate: 'Measure',
};

interface Span {
  task: TaskView;
  start: number;
  end: number;
}

function nameOf({ kind, layer, point }: TaskView, layers: Map<number, string>): string {
  const name = KIND[kind] ?? kind;
  if (layer !== null) return shortName(layers.get(layer) ?? `layer ${layer}`);
  return point === null ? name : `${name} point ${point}`;
}

function Bars({ job, tasks }: { job: Job; tasks: TaskView[] }) {
  const now = useNow();
  const layers = useLayers(job.id, 1);
  const names = new Map((layers.data ?? []).map(({ index, name }) => [index, name]));
  const spans: Span[] = tasks.flatMap((task) =>
    task.started_at === null
      ? []
      : [
          {
            task,
            start: Date.parse(task.started_at),
            end: task.finished_at === null ? Math.max(now, Date.parse(task.started_at)) : Date.parse(task.finished_at),
          },
        ],
  );
  if (spans.length === 0)
    return (
      <div className="empty">
        <h3>No task has begun</h3>
        <p>The first one looks at the files.</p>
      </div>
    );
  const from = Math.min(...spans.map(({ start }) => start));
  const whole = Math.max(1, Math.max(...spans.map(({ end }) => end)) - from);
  const workers = [...new Set(spans.map(({ task }) => task.worker_id ?? 'unknown'))].sort();
  return (
    <div className="lanes">
      {workers.map((worker) => (
        <section key={worker} className="lane" aria-label={`Worker ${worker}`}>
          <h3 className="mono small muted">{worker}</h3>
          <ol>
            {spans
              .filter(({ task }) => (task.worker_id ?? 'unknown') === worker)
              .sort((a, b) => a.start - b.start)
              .map(({ task, start, end }) => {
                const seconds = (end - start) / 1000;
                return (
                  <li key={task.id} className="span-line">
                    <span className="truncate">{nameOf(task, names)}</span>
                    <span className="track" aria-hidden="true">
                      <span
                        className={`span span-${task.state}`}
                        style={{
                          left: `${((start - from) / whole) * 100}%`,
                          width: `${((end - start) / whole) * 100}%`,
                        }}
                      />
                    </span>
                    <span className="number muted">
                      {duration(seconds)}
                      {task.attempt > 1 ? <span className="warn"> · attempt {task.attempt}</span> : null}
                      {task.state === 'succeeded' ? null : ` · ${task.state}`}
                    </span>
                    <span className="number muted small memory">
                      {task.peak_bytes === null ? '' : bytes(task.peak_bytes)}
                    </span>
                  </li>
                );
              })}
          </ol>
        </section>
      ))}
      <p className="small muted span-line">
        <span />
        <span className="axis-ends">
          <span>{clock(from)}</span>
          <span>{duration(whole / 1000)}</span>
          <span>{clock(from + whole)}</span>
        </span>
      </p>
    </div>
  );
}

const EVENT: Record<string, string> = {
  'job.created': 'Accepted',
  'job.started': 'Started',
  'job.phase': 'Next step',
  'job.canceling': 'Cancel was asked for',
  'job.retried': 'Retried',
  'job.succeeded': 'Succeeded',
  'job.failed': 'Failed',
  'job.canceled': 'Canceled',
  'layer.started': 'Layer begun',
  'layer.finished': 'Layer solved',
  'task.retrying': 'An attempt failed and is tried again',
};

function detailOf({ data }: JobEvent): string {
  return Object.entries(data)
    .filter(([, value]) => typeof value === 'string' || typeof value === 'number')
    .map(([name, value]) => `${name} ${String(value)}`)
    .join(', ');
}

/** What ran where and when, and everything that was noted. */
export function Timeline({ job }: { job: Job }) {
  const tasks = useTasks(job.id);
  const events = useEvents(job.id);
  return (
    <div className="stack">
      <section className="card" aria-labelledby="tasks">
        <div className="card-head">
          <h2 id="tasks">Tasks on the workers</h2>
          <span className="muted small">the last attempt of each; memory at its peak</span>
        </div>
        <Loaded query={tasks} what="tasks">
          {(list) => <Bars job={job} tasks={list} />}
        </Loaded>
      </section>
      <section className="card" aria-labelledby="events">
        <div className="card-head">
          <h2 id="events">Events</h2>
        </div>
        <Loaded query={events} what="events">
          {(list) => (
            <ol className="events" tabIndex={0} aria-labelledby="events">
              {list.map((event) => (
                <li key={event.id}>
                  <time className="muted nowrap" dateTime={event.created_at} title={moment(event.created_at)}>
                    {clock(event.created_at)}
                  </time>
                  <span className={event.type === 'job.failed' || event.type === 'task.retrying' ? 'warn' : ''}>
                    {EVENT[event.type] ?? event.type}
                  </span>
                  <span className="muted truncate">{detailOf(event)}</span>
                </li>
              ))}
            </ol>
          )}
        </Loaded>
      </section>
    </div>
  );
}
