import { useQuery } from '@tanstack/react-query';
import { Link } from 'react-router';
import { get } from '../../api/call.js';
import type { Pool, Worker } from '../../api/types.js';
import { useTitle } from '../../app/title.js';
import { REASON, startInWords } from '../../format/job.js';
import { bytes, count, percent } from '../../format/numbers.js';
import { ago } from '../../format/time.js';
import { type Column, DataTable } from '../../ui/data-table.js';
import { useNow } from '../../ui/now.js';
import { Loaded } from '../../ui/query.js';
import { Load } from './load.js';
import './pool.css';
import { TableScroll } from '../../ui/table-scroll.js';

const LOOK_MS = 3_000;

function Does({ worker }: { worker: Worker }) {
  const { busy_with: busy, out_of_service: out, draining_since } = worker;
  if (out !== null) return <span className="badge is-bad">out of service: {out.reason ?? out.code}</span>;
  const draining = draining_since === null ? null : <span className="badge is-warn">draining</span>;
  if (busy === null) return <>{draining ?? <span className="muted">idle</span>}</>;
  const task = busy.layer === null ? busy.task : `${busy.task} ${busy.layer}`;
  return (
    <span>
      {draining} {task} of{' '}
      {busy.job_id === null ? 'another team' : <Link to={`/jobs/${busy.job_id}`}>{busy.job_id}</Link>}
    </span>
  );
}

function Seen({ at }: { at: string }) {
  return <>{ago(at, useNow())}</>;
}

export const WORKER_COLUMNS: Column<Worker>[] = [
  {
    id: 'id',
    header: 'Worker',
    value: ({ id }) => id,
    show: ({ id }) => <span className="mono">{id}</span>,
    heading: true,
  },
  {
    id: 'does',
    header: 'Does',
    value: (worker) => worker.busy_with?.task ?? '',
    show: (worker) => <Does worker={worker} />,
  },
  { id: 'engine', header: 'Engine', value: ({ engine }) => engine },
  { id: 'device', header: 'Device', value: ({ device }) => device },
  { id: 'class', header: 'Class', value: (worker) => worker.class, show: (worker) => worker.class ?? '–' },
  {
    id: 'memory',
    header: 'Device memory',
    value: ({ device_memory_bytes }) => device_memory_bytes,
    show: ({ device_memory_bytes: size }) => (size === 0 ? '–' : bytes(size)),
    numeric: true,
  },
  { id: 'threads', header: 'Threads', value: ({ threads }) => threads, numeric: true },
  {
    id: 'seen',
    header: 'Seen',
    value: ({ last_seen_at }) => last_seen_at,
    show: ({ last_seen_at }) => <Seen at={last_seen_at} />,
    numeric: true,
  },
];

function Waiting({ own }: { own: Pool['own'] }) {
  return (
    <section className="card" aria-labelledby="waiting">
      <div className="card-head">
        <h2 id="waiting">Why my jobs wait</h2>
      </div>
      {own.length === 0 ? (
        <p className="card-body muted">No job of the team waits.</p>
      ) : (
        <ul className="waiting">
          {own.map(({ job_id, place }) => (
            <li key={job_id}>
              <b className="number">No. {place.position}</b>
              <Link className="mono" to={`/jobs/${job_id}`}>
                {job_id}
              </Link>
              <span className="muted">
                {REASON[place.reason]}; {startInWords(place)}
              </span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

/** Share of the running tasks beside what the weights would give. */
function Shares({ teams }: { teams: Pool['teams'] }) {
  const wants = teams.filter((team) => team.running_tasks + team.waiting_tasks > 0);
  const weights = wants.reduce((sum, { weight }) => sum + weight, 0);
  return (
    <section className="card" aria-labelledby="shares">
      <div className="card-head">
        <h2 id="shares">Shares of the pool</h2>
      </div>
      <TableScroll label="Shares">
        <table className="table">
          <thead>
            <tr>
              <th>Team</th>
              <th className="number">Weight</th>
              <th>Share now, and by weight</th>
              <th className="number">Running</th>
              <th className="number">Waiting</th>
            </tr>
          </thead>
          <tbody>
            {teams.map((team) => {
              const due = weights > 0 && wants.includes(team) ? team.weight / weights : 0;
              return (
                <tr key={team.team_id}>
                  <th scope="row">{team.team_id}</th>
                  <td className="number">{team.weight}</td>
                  <td>
                    <span className="share" aria-hidden="true">
                      <span style={{ width: `${team.share * 100}%` }} />
                      <i style={{ left: `${due * 100}%` }} />
                    </span>
                    <span className="small muted">
                      {percent(team.share, 0)} of {teams.length > 1 ? percent(due, 0) : 'the pool'}
                    </span>
                  </td>
                  <td className="number">{count(team.running_tasks)}</td>
                  <td className="number">{count(team.waiting_tasks)}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </TableScroll>
    </section>
  );
}

export const usePool = () =>
  useQuery({ queryKey: ['pool'], queryFn: ({ signal }) => get<Pool>('/pool', signal), refetchInterval: LOOK_MS });

/** The workers, what each does, and who waits for what. */
export default function PoolPage() {
  useTitle('Pool');
  const pool = usePool();
  return (
    <>
      <div className="page-head">
        <h1>Pool</h1>
      </div>
      <Loaded query={pool} what="pool">
        {({ workers, queue, own, teams }) => (
          <div className="stack">
            <div className="stats">
              {(
                [
                  ['Workers', workers.length, `${workers.filter(({ busy_with }) => busy_with !== null).length} busy`],
                  ['Jobs that run', queue.jobs.running, `${count(queue.jobs.queued)} queued`],
                  [
                    'Tasks that run',
                    queue.tasks.running,
                    `${count(queue.tasks.waiting + queue.tasks.released)} waiting`,
                  ],
                  ['Without a worker', queue.tasks.unmatched, 'tasks that no live worker can run'],
                ] as const
              ).map(([name, value, detail]) => (
                <div key={name} className="stat">
                  <div className="stat-name">{name}</div>
                  <div className="stat-value">{count(value)}</div>
                  <div className="stat-detail">{detail}</div>
                </div>
              ))}
            </div>
            <Load running={queue.tasks.running} waiting={queue.tasks.waiting + queue.tasks.released} />
            <div className="card">
              <DataTable name="Workers" rows={workers} columns={WORKER_COLUMNS} rowKey={({ id }) => id} />
              {workers.length === 0 ? (
                <p className="card-body muted">No worker is alive. Jobs wait until one starts.</p>
              ) : null}
            </div>
            <div className="columns">
              <Waiting own={own} />
              <Shares teams={teams} />
            </div>
          </div>
        )}
      </Loaded>
    </>
  );
}
