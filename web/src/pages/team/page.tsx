import { useQuery } from '@tanstack/react-query';
import { get } from '../../api/call.js';
import type { Team } from '../../api/types.js';
import { useCan, useSession } from '../../app/session.js';
import { useTitle } from '../../app/title.js';
import { bytes, count } from '../../format/numbers.js';
import { Loaded } from '../../ui/query.js';
import { Deliveries } from './deliveries.js';
import { Keys } from './keys.js';
import { UsageCard } from './usage.js';
import './team.css';

function Limits({ team }: { team: Team }) {
  const { limits, in_use: used } = team;
  const lines: [string, number | null, number | null, (value: number) => string][] = [
    ['Running tasks', used.running_tasks, limits.running_tasks, count],
    ['Jobs queued and running', used.queued_jobs, limits.queued_jobs, count],
    ['Storage', used.storage_bytes, limits.storage_bytes, bytes],
    ['Calls a minute, each key', null, limits.requests_per_minute, count],
  ];
  return (
    <section className="card" aria-labelledby="limits">
      <div className="card-head">
        <h2 id="limits">Limits</h2>
        <span className="muted small">weight {team.weight} in the pool</span>
      </div>
      <ul className="limits">
        {lines.map(([name, value, limit, show]) => (
          <li key={name}>
            <span className="muted small">{name}</span>
            <span>
              {value === null ? null : <b>{show(value)} </b>}
              {value === null && limit !== null ? <b>{show(limit)}</b> : null}
              <span className="muted">
                {limit === null
                  ? value === null
                    ? 'as the service is set'
                    : ''
                  : value === null
                    ? ''
                    : `of ${show(limit)}`}
              </span>
            </span>
            {value === null || limit === null ? null : (
              <span className="bar" aria-hidden="true">
                <span style={{ width: `${Math.min(100, (value / limit) * 100)}%` }} />
              </span>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Managed() {
  const team = useQuery({ queryKey: ['team'], queryFn: ({ signal }) => get<Team>('/teams/self', signal) });
  return (
    <>
      <Loaded query={team} what="team">
        {(data) => <Limits team={data} />}
      </Loaded>
      <Keys />
    </>
  );
}

/** What the team used, what it may, and what it is told. */
export default function TeamPage() {
  const { team } = useSession();
  const can = useCan();
  useTitle('Team');
  return (
    <>
      <div className="page-head">
        <h1>Team {team.name}</h1>
      </div>
      <div className="stack">
        {can('jobs:read') || can('manage') ? <UsageCard /> : null}
        {can('manage') ? <Managed /> : null}
        {can('jobs:read') ? <Deliveries /> : null}
      </div>
    </>
  );
}
