import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { call, get } from '../../api/call.js';
import type { ApiKey, NewKey, Page, Scope } from '../../api/types.js';
import { useCan, useSession } from '../../app/session.js';
import { ago, moment } from '../../format/time.js';
import { Confirm, Dialog, ShownOnce } from '../../ui/dialog.js';
import { Failure } from '../../ui/failure.js';
import { Icon } from '../../ui/icon.js';
import { useNow } from '../../ui/now.js';
import { Loaded } from '../../ui/query.js';
import { TableScroll } from '../../ui/table-scroll.js';

const KEYS = '/teams/self/keys';
const SCOPES: Record<Scope, string> = {
  'jobs:read': 'see jobs, results and the pool',
  'jobs:write': 'submit, cancel and remove jobs',
  'team:admin': 'make and revoke keys of the team',
  admin: 'everything, in all teams',
};

function NewKeyDialog({ onClose }: { onClose: () => void }) {
  const can = useCan();
  const client = useQueryClient();
  const [name, setName] = useState('');
  const [scopes, setScopes] = useState<Scope[]>(['jobs:read', 'jobs:write']);
  const make = useMutation({
    mutationFn: () => call<NewKey>('POST', KEYS, { body: { name, scopes } }),
    onSuccess: () => client.invalidateQueries({ queryKey: ['keys'] }),
  });
  if (make.data !== undefined)
    return (
      <ShownOnce
        onClose={onClose}
        title="The key, shown this once"
        description="It is stored nowhere. Copy it now."
        secret={make.data.key}
      />
    );
  return (
    <Dialog open onClose={onClose} title="New key">
      <label className="field">
        <span className="field-name">Name</span>
        <input
          className="input"
          value={name}
          placeholder="who or what uses it"
          onChange={(event) => setName(event.target.value)}
        />
      </label>
      <fieldset className="field">
        <legend className="field-name">It may</legend>
        {(Object.keys(SCOPES) as Scope[])
          .filter((scope) => scope !== 'admin' || can('admin'))
          .map((scope) => (
            <label key={scope} className="check">
              <input
                type="checkbox"
                checked={scopes.includes(scope)}
                onChange={(event) =>
                  setScopes(event.target.checked ? [...scopes, scope] : scopes.filter((one) => one !== scope))
                }
              />
              <code>{scope}</code> <span className="muted">{SCOPES[scope]}</span>
            </label>
          ))}
      </fieldset>
      {make.error === null ? null : <Failure error={make.error} />}
      <div className="actions">
        <button type="button" className="button" onClick={onClose}>
          Cancel
        </button>
        <button
          type="button"
          className="button primary"
          disabled={name === '' || scopes.length === 0 || make.isPending}
          onClick={() => make.mutate()}
        >
          Make the key
        </button>
      </div>
    </Dialog>
  );
}

/** The keys of the team: made, seen and revoked. */
export function Keys() {
  const now = useNow();
  const { key: own } = useSession();
  const client = useQueryClient();
  const [making, setMaking] = useState(false);
  const [revoking, setRevoking] = useState<ApiKey | null>(null);
  const keys = useQuery({
    queryKey: ['keys'],
    queryFn: ({ signal }) => get<Page<ApiKey>>(`${KEYS}?limit=100`, signal),
  });
  const revoke = useMutation({
    mutationFn: (id: string) => call('DELETE', `${KEYS}/${id}`),
    onSuccess: async () => {
      setRevoking(null);
      await client.invalidateQueries({ queryKey: ['keys'] });
    },
  });
  return (
    <section className="card" aria-labelledby="keys">
      <div className="card-head">
        <h2 id="keys">Keys</h2>
        <div className="actions">
          <button type="button" className="button small" onClick={() => setMaking(true)}>
            <Icon name="plus" /> New key
          </button>
        </div>
      </div>
      <Loaded query={keys} what="keys">
        {({ data }) => (
          <TableScroll label="Keys">
            <table className="table">
              <thead>
                <tr>
                  <th>Name</th>
                  <th>Key</th>
                  <th>Scopes</th>
                  <th>Last used</th>
                  <th>Expires</th>
                  <th>
                    <span className="visually-hidden">Revoke</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {data.map((key) => (
                  <tr key={key.id}>
                    <th scope="row">
                      {key.name} {key.id === own.id ? <span className="label">this session</span> : null}
                    </th>
                    <td className="mono">{key.prefix}…</td>
                    <td>{key.scopes.join(', ')}</td>
                    <td>{key.last_used_at === null ? 'never' : ago(key.last_used_at, now)}</td>
                    <td>{key.expires_at === null ? 'never' : moment(key.expires_at)}</td>
                    <td className="number">
                      {key.revoked_at === null ? (
                        <button type="button" className="button plain small danger" onClick={() => setRevoking(key)}>
                          Revoke<span className="visually-hidden"> {key.name}</span>
                        </button>
                      ) : (
                        <span className="muted">revoked</span>
                      )}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </TableScroll>
        )}
      </Loaded>
      {making ? <NewKeyDialog onClose={() => setMaking(false)} /> : null}
      <Confirm
        open={revoking !== null}
        onClose={() => setRevoking(null)}
        title={`Revoke ${revoking?.name ?? ''}?`}
        description="The next call with it is refused. It cannot be taken back."
        action="Revoke"
        pending={revoke.isPending}
        onConfirm={() => revoking !== null && revoke.mutate(revoking.id)}
      >
        {revoke.error === null ? null : <Failure error={revoke.error} />}
      </Confirm>
    </section>
  );
}
