import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { ApiError, call, get } from '../../api/call.js';
import { moment } from '../../format/time.js';
import { Dialog, ShownOnce } from '../../ui/dialog.js';
import { Failure } from '../../ui/failure.js';
import { Icon } from '../../ui/icon.js';

interface Info {
  created_at: string;
  previous_valid_until: string | null;
}

/** Null: the team has none yet. */
async function readInfo(signal: AbortSignal): Promise<Info | null> {
  try {
    return await get<Info>('/webhooks/secret', signal);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}

function SecretDialog({ onClose }: { onClose: () => void }) {
  const client = useQueryClient();
  const info = useQuery({ queryKey: ['webhook-secret'], queryFn: ({ signal }) => readInfo(signal) });
  const make = useMutation({
    mutationFn: () => call<{ secret: string }>('POST', '/webhooks/secret'),
    onSuccess: () => client.invalidateQueries({ queryKey: ['webhook-secret'] }),
  });
  if (make.data !== undefined)
    return (
      <ShownOnce
        onClose={onClose}
        title="The signing secret, shown this once"
        description="Give it to whoever verifies the messages. A secret that it takes the place of goes on signing beside it for a day."
        secret={make.data.secret}
      />
    );
  const failed = make.error ?? info.error;
  const known = info.data ?? null;
  return (
    <Dialog
      open
      onClose={onClose}
      title="Signing secret"
      description="Messages are signed by Standard Webhooks, so that their receivers know that they come from here."
    >
      {info.data === undefined ? null : (
        <p>
          {known === null
            ? 'The team has none yet.'
            : `The team has one since ${moment(known.created_at)}.${
                known.previous_valid_until === null
                  ? ''
                  : ` The one before it signs, too, until ${moment(known.previous_valid_until)}.`
              }`}
        </p>
      )}
      {failed === null ? null : <Failure error={failed} />}
      <div className="actions">
        <button type="button" className="button" onClick={onClose}>
          Close
        </button>
        <button
          type="button"
          className="button primary"
          disabled={info.data === undefined || make.isPending}
          onClick={() => make.mutate()}
        >
          {known === null ? 'Make a secret' : 'Make a new one'}
        </button>
      </div>
    </Dialog>
  );
}

/** What webhooks are signed with: made, and made anew. */
export function SigningSecret() {
  const [open, setOpen] = useState(false);
  return (
    <>
      <button type="button" className="button small" onClick={() => setOpen(true)}>
        <Icon name="link" /> Signing secret
      </button>
      {open ? <SecretDialog onClose={() => setOpen(false)} /> : null}
    </>
  );
}
