import { useWindowVirtualizer } from '@tanstack/react-virtual';
import { memo, useEffect, useRef, useState } from 'react';
import { Link } from 'react-router';
import type { JobRow } from '../../api/types.js';
import { useSession } from '../../app/session.js';
import { targetsInWords, tookSeconds } from '../../format/job.js';
import { ago, duration, moment } from '../../format/time.js';
import { useNow } from '../../ui/now.js';
import { Status } from '../../ui/status.js';
import { Outcome } from './outcome.js';

const ROW_PX = 53;

function Ago({ job }: { job: JobRow }) {
  const now = useNow();
  return <time dateTime={job.created_at}>{ago(job.created_at, now)}</time>;
}

function Took({ job }: { job: JobRow }) {
  const now = useNow();
  return <>{duration(tookSeconds(job, now))}</>;
}

interface RowProps {
  job: JobRow;
  index: number;
  selected: boolean;
  selectable: boolean;
  withTeam: boolean;
  own: boolean;
  onSelect: (id: string, selected: boolean) => void;
}

const Row = memo(function Row({ job, index, selected, selectable, withTeam, own, onSelect }: RowProps) {
  const name = job.model;
  return (
    <tr className="job-row" aria-rowindex={index + 2} aria-selected={selectable ? selected : undefined}>
      {selectable ? (
        <td className="cell-select">
          <input
            type="checkbox"
            aria-label={`Select ${name}, ${job.id}`}
            checked={selected}
            onChange={(event) => onSelect(job.id, event.target.checked)}
          />
        </td>
      ) : null}
      <td className="cell-status">
        <Status status={job.status} missed={job.verdict?.passed === false} />
      </td>
      <td className="cell-name">
        {own ? (
          <Link className="job-name truncate" to={`/jobs/${job.id}`}>
            {name}
          </Link>
        ) : (
          // What belongs to another team is for its eyes.
          <span className="job-name truncate">{name}</span>
        )}
        <div className="job-labels truncate">
          {withTeam ? <span className="label">{job.team_id}</span> : null}
          {Object.entries(job.labels).map(([key, value]) => (
            <span key={key} className="label">
              {key}={value}
            </span>
          ))}
          <span className="muted small mono truncate">{job.id}</span>
        </div>
      </td>
      <td className="cell-target">{targetsInWords(job.targets)}</td>
      <td className="cell-outcome">
        <Outcome job={job} />
      </td>
      <td className="cell-took number muted">
        <Took job={job} />
      </td>
      <td className="cell-age number muted" title={moment(job.created_at)}>
        <Ago job={job} />
      </td>
    </tr>
  );
});

export interface JobListProps {
  jobs: JobRow[];
  selection: ReadonlySet<string>;
  selectable: boolean;
  withTeam: boolean;
  onSelect: (ids: string[], selected: boolean) => void;
  /** The last known row came into sight. */
  onEnd: () => void;
}

/** Only the rows in sight are in the page, however many jobs there are. */
export function JobList({ jobs, selection, selectable, withTeam, onSelect, onEnd }: JobListProps) {
  const { team } = useSession();
  const table = useRef<HTMLTableElement>(null);
  const [above, setAbove] = useState(0);
  useEffect(() => setAbove((table.current?.getBoundingClientRect().top ?? 0) + window.scrollY), []);
  const rows = useWindowVirtualizer({
    count: jobs.length,
    estimateSize: () => ROW_PX,
    overscan: 12,
    scrollMargin: above,
  });
  const items = rows.getVirtualItems();
  const last = items.at(-1)?.index ?? -1;
  useEffect(() => {
    if (last >= jobs.length - 20) onEnd();
  }, [last, jobs.length, onEnd]);
  const [one] = useState(() => (id: string, selected: boolean) => onSelect([id], selected));
  const before = (items[0]?.start ?? above) - above;
  const after = rows.getTotalSize() - ((items.at(-1)?.end ?? above) - above);
  const all = jobs.length > 0 && jobs.every(({ id }) => selection.has(id));
  return (
    <table className="table job-table" ref={table} aria-rowcount={jobs.length + 1}>
      <thead>
        <tr aria-rowindex={1}>
          {selectable ? (
            <th className="cell-select">
              <input
                type="checkbox"
                aria-label="Select all jobs that are shown"
                checked={all}
                onChange={(event) =>
                  onSelect(
                    jobs.map(({ id }) => id),
                    event.target.checked,
                  )
                }
              />
            </th>
          ) : null}
          <th className="cell-status">Status</th>
          <th className="cell-name">Model</th>
          <th className="cell-target">Target</th>
          <th className="cell-outcome">Progress or result</th>
          <th className="cell-took number">Took</th>
          <th className="cell-age number">Created</th>
        </tr>
      </thead>
      <tbody>
        {before > 0 ? (
          <tr aria-hidden="true" className="spacer">
            <td colSpan={7} style={{ height: before }} />
          </tr>
        ) : null}
        {items.map(({ index }) => {
          const job = jobs[index];
          return job === undefined ? null : (
            <Row
              key={job.id}
              {...{ job, index, selectable, withTeam }}
              own={job.team_id === team.id}
              selected={selection.has(job.id)}
              onSelect={one}
            />
          );
        })}
        {after > 0 ? (
          <tr aria-hidden="true" className="spacer">
            <td colSpan={7} style={{ height: after }} />
          </tr>
        ) : null}
      </tbody>
    </table>
  );
}
