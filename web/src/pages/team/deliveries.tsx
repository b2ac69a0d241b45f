import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Link } from 'react-router';
import { call, get } from '../../api/call.js';
import type { Delivery, Page } from '../../api/types.js';
import { useCan } from '../../app/session.js';
import { ago, moment } from '../../format/time.js';
import { Failure } from '../../ui/failure.js';
import { useNow } from '../../ui/now.js';
import { Loaded } from '../../ui/query.js';
import { TableScroll } from '../../ui/table-scroll.js';
import { SigningSecret } from './secret.js';

const LOOK: Record<Delivery['state'], string> = {
  pending: 'is-active',
  delivered: 'is-good',
  failed: 'is-bad',
  disabled: 'is-warn',
};

/** Messages about ended jobs, and sending them again. */
export function Deliveries() {
  const now = useNow();
  const can = useCan();
  const client = useQueryClient();
  const deliveries = useQuery({
    queryKey: ['deliveries'],
    queryFn: ({ signal }) => get<Page<Delivery>>('/webhooks/deliveries?limit=50', signal),
  });
  const replay = useMutation({
    mutationFn: (id: string) => call('POST', `/webhooks/deliveries/${id}/replay`),
    onSuccess: () => client.invalidateQueries({ queryKey: ['deliveries'] }),
  });
  return (
    <section className="card" aria-labelledby="webhooks">
      <div className="card-head">
        <h2 id="webhooks">Webhooks</h2>
        {can('jobs:write') ? (
          <div className="actions">
            <SigningSecret />
          </div>
        ) : null}
      </div>
      {replay.error === null ? null : <Failure error={replay.error} />}
      <Loaded query={deliveries} what="deliveries">
        {({ data }) =>
          data.length === 0 ? (
            <p className="card-body muted">
              Nothing was sent. A job whose specification names a webhook tells it when the job has ended.
            </p>
          ) : (
            <TableScroll label="Deliveries">
              <table className="table">
                <thead>
                  <tr>
                    <th>State</th>
                    <th>Message</th>
                    <th>Job</th>
                    <th>Endpoint</th>
                    <th className="number">Attempts</th>
                    <th>Next</th>
                    <th>Made</th>
                    <th>
                      <span className="visually-hidden">Replay</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {data.map((one) => (
                    <tr key={one.id}>
                      <td>
                        <span className={`badge ${LOOK[one.state]}`}>{one.state}</span>
                      </td>
                      <td>{one.type}</td>
                      <td>
                        <Link className="mono" to={`/jobs/${one.job_id}`}>
                          {one.job_id}
                        </Link>
                      </td>
                      <td className="mono small">{one.url}</td>
                      <td className="number">{one.attempts}</td>
                      <td>{moment(one.next_attempt_at)}</td>
                      <td>{ago(one.created_at, now)}</td>
                      <td className="number">
                        {can('jobs:write') && one.state !== 'pending' ? (
                          <button
                            type="button"
                            className="button plain small"
                            disabled={replay.isPending}
                            onClick={() => replay.mutate(one.id)}
                          >
                            Replay
                          </button>
                        ) : null}
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </TableScroll>
          )
        }
      </Loaded>
    </section>
  );
}
