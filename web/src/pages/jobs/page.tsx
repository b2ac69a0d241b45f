import { useCallback, useState } from 'react';
import { Link } from 'react-router';
import { useJobs } from '../../api/jobs.js';
import { useCan } from '../../app/session.js';
import { useTitle } from '../../app/title.js';
import { count } from '../../format/numbers.js';
import { Failure } from '../../ui/failure.js';
import { Loading } from '../../ui/loading.js';
import { Actions } from './actions.js';
import { Filters, useFilter } from './filters.js';
import { JobList } from './list.js';
import './jobs.css';

function Empty({ filtered, onClear }: { filtered: boolean; onClear: () => void }) {
  const can = useCan();
  if (filtered)
    return (
      <div className="empty">
        <h2>No job matches</h2>
        <p>Nothing fits the filters.</p>
        <button type="button" className="button" onClick={onClear}>
          Show all jobs
        </button>
      </div>
    );
  return (
    <div className="empty">
      <h2>No jobs yet</h2>
      <p>Drop a trained model and a few hundred samples, and see what can be saved.</p>
      {can('jobs:write') ? (
        <Link className="button primary" to="/submit">
          New job
        </Link>
      ) : null}
    </div>
  );
}

/** All jobs of the team, live. */
export default function JobsPage() {
  useTitle('Jobs');
  const can = useCan();
  const [filter, change] = useFilter();
  const { list, shown } = useJobs(filter);
  const [selection, setSelection] = useState<ReadonlySet<string>>(new Set());
  const jobs = shown?.jobs ?? [];
  const select = useCallback(
    (ids: string[], selected: boolean) =>
      setSelection((before) => {
        const next = new Set(before);
        for (const id of ids) {
          if (selected) next.add(id);
          else next.delete(id);
        }
        return next;
      }),
    [],
  );
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = list;
  const more = useCallback(() => {
    if (hasNextPage && !isFetchingNextPage) void fetchNextPage();
  }, [hasNextPage, isFetchingNextPage, fetchNextPage]);
  const chosen = jobs.filter(({ id }) => selection.has(id));
  const filtered = Object.values(filter).some((value) => value !== '');

  return (
    <>
      <div className="page-head">
        <h1>Jobs</h1>
        <span className="muted" role="status">
          {shown === undefined ? '' : `${count(shown?.total)} ${filtered ? 'found' : 'in all'}`}
        </span>
        <div className="actions">
          <Actions chosen={chosen} filter={filter} onDone={() => setSelection(new Set())} />
        </div>
      </div>
      <div className="card">
        <Filters filter={filter} change={change} />
        {list.error === null ? null : (
          <div className="card-body">
            <Failure error={list.error} retry={() => void list.refetch()} />
          </div>
        )}
        {shown === undefined ? (
          list.error === null ? (
            <Loading what="jobs" />
          ) : null
        ) : jobs.length === 0 ? (
          <Empty filtered={filtered} onClear={() => change({ status: '', label: '', text: '', team: '' })} />
        ) : (
          <JobList
            jobs={jobs}
            selection={selection}
            selectable={can('jobs:write') || can('jobs:read')}
            withTeam={filter.team !== ''}
            onSelect={select}
            onEnd={more}
          />
        )}
      </div>
    </>
  );
}
