import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { Link } from 'react-router';
import { call } from '../../api/call.js';
import { cancelPath, type JobFilter } from '../../api/jobs.js';
import type { JobRow } from '../../api/types.js';
import { useCan } from '../../app/session.js';
import { isOver } from '../../format/job.js';
import { Confirm } from '../../ui/dialog.js';
import { Failure } from '../../ui/failure.js';

const COMPARED = 8;
/** As many as one call cancels. */
const AT_ONCE = 1000;

/** What can be done with the chosen jobs. */
interface Props {
  chosen: JobRow[];
  filter: JobFilter;
  onDone: () => void;
}

export function Actions({ chosen, filter, onDone }: Props) {
  const can = useCan();
  const [asking, setAsking] = useState(false);
  const open = chosen.filter((job) => !isOver(job));
  const cancel = useMutation({
    mutationFn: async () => {
      const ids = open.map(({ id }) => id);
      for (let i = 0; i < ids.length; i += AT_ONCE)
        await call('POST', cancelPath(filter), { body: { ids: ids.slice(i, i + AT_ONCE) } });
    },
    onSuccess: () => {
      setAsking(false);
      onDone();
    },
  });
  if (chosen.length === 0) return null;
  const measured = chosen.filter(({ result }) => result !== null).slice(0, COMPARED);
  return (
    <>
      <span className="muted">{chosen.length} selected</span>
      {measured.length > 1 ? (
        <Link className="button" to={`/compare?jobs=${measured.map(({ id }) => id).join(',')}`}>
          Compare {measured.length}
        </Link>
      ) : null}
      {can('jobs:write') && open.length > 0 ? (
        <button type="button" className="button danger" onClick={() => setAsking(true)}>
          Cancel {open.length}
        </button>
      ) : null}
      <button type="button" className="button plain" onClick={onDone}>
        Clear
      </button>
      <Confirm
        open={asking}
        onClose={() => setAsking(false)}
        title={`Cancel ${open.length} ${open.length === 1 ? 'job' : 'jobs'}?`}
        description="What was solved so far stays for a retry, until it is removed with its job."
        action={cancel.isPending ? 'Canceling…' : `Cancel ${open.length}`}
        pending={cancel.isPending}
        onConfirm={() => cancel.mutate()}
      >
        {cancel.error === null ? null : <Failure error={cancel.error} />}
      </Confirm>
    </>
  );
}
