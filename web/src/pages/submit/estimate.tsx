import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { call } from '../../api/call.js';
import { bytes, count } from '../../format/numbers.js';
import { duration } from '../../format/time.js';
import { Failure } from '../../ui/failure.js';

/** What a dry run answers, as far as it is known here. */
interface DryRun {
  estimate: {
    model?: { parameters: number; macs: number; bytes: number };
    layers?: { total: number; compressible: number };
    blocked?: { name: string; reason: string }[];
    time?: { device_seconds: number };
  } | null;
}

const TYPED_MS = 400;

/** The value once it has not changed for a moment. */
function useSettled<T>(value: T): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = window.setTimeout(() => setSettled(value), TYPED_MS);
    return () => window.clearTimeout(timer);
  }, [value]);
  return settled;
}

/** Checked by the service as it is typed; nothing is stored. */
export function useDryRun(body: string | null) {
  const settled = useSettled(body);
  const query = useQuery({
    queryKey: ['dry-run', settled],
    queryFn: ({ signal }) =>
      call<DryRun>('POST', '/jobs?dry_run=true', { body: JSON.parse(settled ?? '{}') as unknown, signal }),
    enabled: settled !== null,
    retry: false,
    staleTime: 60_000,
    placeholderData: keepPreviousData,
  });
  return { ...query, pending: body !== settled || query.isFetching };
}

export function Estimate({ run, ready }: { run: ReturnType<typeof useDryRun>; ready: boolean }) {
  const estimate = run.data?.estimate ?? null;
  return (
    <section className="card estimate" aria-labelledby="estimate" aria-busy={run.pending}>
      <div className="card-head">
        <h2 id="estimate">Dry run</h2>
        <span className="muted small" role="status">
          {!ready
            ? ''
            : run.pending
              ? 'checking…'
              : run.error === null
                ? 'this would be accepted'
                : 'this would be refused'}
        </span>
      </div>
      <div className="card-body">
        {!ready ? (
          <p className="muted">
            Once model and samples are here, the service checks them and says what to expect. Nothing is stored.
          </p>
        ) : run.error !== null ? (
          <Failure error={run.error} />
        ) : estimate === null ? (
          <p className="muted">Looking at the files…</p>
        ) : (
          <dl className="facts">
            {estimate.model === undefined ? null : (
              <>
                <dt>Parameters</dt>
                <dd>{count(estimate.model.parameters)}</dd>
                <dt>MACs</dt>
                <dd>{count(estimate.model.macs)}</dd>
                <dt>File</dt>
                <dd>{bytes(estimate.model.bytes)}</dd>
              </>
            )}
            {estimate.layers === undefined ? null : (
              <>
                <dt>Layers</dt>
                <dd>
                  {estimate.layers.compressible} of {estimate.layers.total} can be compressed
                </dd>
              </>
            )}
            {estimate.time === undefined ? null : (
              <>
                <dt>Time</dt>
                <dd>
                  about {duration(estimate.time.device_seconds)}{' '}
                  <span className="muted">of two quiet cores; several workers share the layers</span>
                </dd>
              </>
            )}
          </dl>
        )}
        {(estimate?.blocked ?? []).length > 0 && run.error === null ? (
          <details className="blocked">
            <summary>{estimate?.blocked?.length} layers stay as they are</summary>
            <ul className="small muted">
              {(estimate?.blocked ?? []).map(({ name, reason }) => (
                <li key={name}>
                  <span className="mono">{name}</span>: {reason}
                </li>
              ))}
            </ul>
          </details>
        ) : null}
      </div>
    </section>
  );
}
