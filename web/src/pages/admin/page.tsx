import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Link } from 'react-router';
import { call, get } from '../../api/call.js';
import type { AuditEntry, Page, Team, Worker } from '../../api/types.js';
import { useTitle } from '../../app/title.js';
import { bytes, count } from '../../format/numbers.js';
import { moment } from '../../format/time.js';
import { type Column, DataTable } from '../../ui/data-table.js';
import { Failure } from '../../ui/failure.js';
import { Loaded } from '../../ui/query.js';
import { usePool, WORKER_COLUMNS } from '../pool/page.js';

type Listed = Omit<Team, 'in_use'>;

const limit = (value: number | null, show: (value: number) => string) => (value === null ? 'default' : show(value));

const TEAMS: Column<Listed>[] = [
  { id: 'name', header: 'Team', value: ({ name }) => name, heading: true },
  { id: 'id', header: 'Id', value: ({ id }) => id, show: ({ id }) => <span className="mono">{id}</span> },
  { id: 'weight', header: 'Weight', value: ({ weight }) => weight, numeric: true },
  {
    id: 'running',
    header: 'Running tasks',
    value: ({ limits }) => limits.running_tasks,
    show: ({ limits }) => limit(limits.running_tasks, count),
    numeric: true,
  },
  {
    id: 'queued',
    header: 'Open jobs',
    value: ({ limits }) => limits.queued_jobs,
    show: ({ limits }) => limit(limits.queued_jobs, count),
    numeric: true,
  },
  {
    id: 'storage',
    header: 'Storage',
    value: ({ limits }) => limits.storage_bytes,
    show: ({ limits }) => limit(limits.storage_bytes, bytes),
    numeric: true,
  },
  { id: 'jobs', header: 'Jobs', value: () => null, show: ({ id }) => <Link to={`/jobs?team=${id}`}>show</Link> },
];

const AUDIT: Column<AuditEntry>[] = [
  {
    id: 'at',
    header: 'When',
    value: ({ at }) => at,
    show: ({ at }) => <span className="nowrap">{moment(at)}</span>,
    heading: true,
  },
  { id: 'action', header: 'Action', value: ({ action }) => action },
  {
    id: 'actor',
    header: 'Key',
    value: ({ actor }) => actor?.key_prefix ?? 'the service',
    show: ({ actor }) => <span className="mono">{actor === null ? 'the service' : `${actor.key_prefix}…`}</span>,
  },
  { id: 'address', header: 'From', value: ({ actor }) => actor?.address ?? null },
  { id: 'team', header: 'Team', value: ({ team_id }) => team_id },
  {
    id: 'subject',
    header: 'What',
    value: ({ subject }) => subject,
    show: ({ subject }) => <span className="mono">{subject}</span>,
  },
];

function Workers() {
  const client = useQueryClient();
  const pool = usePool();
  const drain = useMutation({
    mutationFn: ({ id }: Worker) => call('POST', `/admin/workers/${encodeURIComponent(id)}/drain`),
    onSuccess: () => client.invalidateQueries({ queryKey: ['pool'] }),
  });
  const undrain = useMutation({
    mutationFn: ({ id }: Worker) => call('DELETE', `/admin/workers/${encodeURIComponent(id)}/drain`),
    onSuccess: () => client.invalidateQueries({ queryKey: ['pool'] }),
  });
  const failed = drain.error ?? undrain.error;
  const columns: Column<Worker>[] = [
    ...WORKER_COLUMNS,
    {
      id: 'drain',
      header: 'Draining',
      value: ({ draining_since }) => draining_since,
      show: (worker) => (
        <button
          type="button"
          className="button small"
          disabled={drain.isPending || undrain.isPending}
          onClick={() => (worker.draining_since === null ? drain : undrain).mutate(worker)}
        >
          {worker.draining_since === null ? 'Drain' : 'Take tasks again'}
          <span className="visually-hidden"> {worker.id}</span>
        </button>
      ),
    },
  ];
  return (
    <section className="card" aria-labelledby="workers">
      <div className="card-head">
        <h2 id="workers">Workers</h2>
        <span className="muted small">a draining worker ends its task and takes no more</span>
      </div>
      {failed === null ? null : <Failure error={failed} />}
      <Loaded query={pool} what="workers">
        {({ workers }) => <DataTable name="Workers" rows={workers} columns={columns} rowKey={({ id }) => id} />}
      </Loaded>
    </section>
  );
}

function Audit() {
  const audit = useInfiniteQuery({
    queryKey: ['audit'],
    initialPageParam: '',
    queryFn: ({ pageParam, signal }) => get<Page<AuditEntry>>(`/admin/audit?limit=50${pageParam}`, signal),
    getNextPageParam: ({ next }) => (next === null ? undefined : `&after=${next}`),
  });
  return (
    <section className="card" aria-labelledby="audit">
      <div className="card-head">
        <h2 id="audit">Audit log</h2>
      </div>
      {audit.error === null ? null : <Failure error={audit.error} />}
      <DataTable
        name="Audit log"
        rows={audit.data?.pages.flatMap(({ data }) => data) ?? []}
        columns={AUDIT}
        rowKey={({ id }) => id}
      />
      {audit.hasNextPage ? (
        <p className="card-body">
          <button type="button" className="button" onClick={() => void audit.fetchNextPage()}>
            Older entries
          </button>
        </p>
      ) : null}
    </section>
  );
}

/** What operators look after: all teams, the workers, who changed what. */
export default function AdminPage() {
  useTitle('Admin');
  const teams = useQuery({
    queryKey: ['teams'],
    queryFn: ({ signal }) => get<Page<Listed>>('/teams?limit=100', signal),
  });
  return (
    <>
      <div className="page-head">
        <h1>Admin</h1>
        <div className="actions">
          <Link className="button" to="/jobs?team=all">
            Jobs of all teams
          </Link>
          <a className="button" href="/admin/queues/">
            Queue
          </a>
        </div>
      </div>
      <div className="stack">
        <section className="card" aria-labelledby="teams">
          <div className="card-head">
            <h2 id="teams">Teams</h2>
          </div>
          <Loaded query={teams} what="teams">
            {({ data }) => <DataTable name="Teams" rows={data} columns={TEAMS} rowKey={({ id }) => id} />}
          </Loaded>
        </section>
        <Workers />
        <Audit />
      </div>
    </>
  );
}
