import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useNavigate, useSearchParams } from 'react-router';
import { ApiError, call, get } from '../../api/call.js';
import { type Schemas, useSchemas } from '../../api/schema.js';
import type { Job } from '../../api/types.js';
import { useTitle } from '../../app/title.js';
import { Failure } from '../../ui/failure.js';
import { Loading } from '../../ui/loading.js';
import { SchemaFields } from '../../ui/schema-form.js';
import { Estimate, useDryRun } from './estimate.js';
import { Effort, type EffortValue } from './effort.js';
import { type Chosen, Files, type Part, PARTS, send } from './files.js';
import { Labels, readLabels } from './labels.js';
import { Targets, type Wish } from './targets.js';
import './submit.css';

type Given = Record<string, unknown>;

/** A key of its own for every form: sending it twice makes one job. `randomUUID` is not there over plain http. */
const newToken = (): string =>
  [...window.crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');

const OWN = ['model', 'calibration', 'evaluation', 'target', 'targets', 'labels', 'constraints', 'priority', 'effort'];

function filesOf(job: Job): Partial<Record<Part, Chosen>> {
  return Object.fromEntries(
    PARTS.flatMap((part) => {
      const source = job.spec[part];
      const input = job.inputs[part];
      if (!source || !input || !('upload' in source)) return [];
      return [[part, { name: input.filename, bytes: input.bytes, sent: 1, upload: source.upload, error: null }]];
    }),
  );
}

function wishesOf(job: Job): Wish[] {
  return (job.spec.targets ?? [job.spec.target]).flatMap((target) =>
    Object.entries<number>(target).map(([name, asked]) => ({ name, asked })),
  );
}

function choicesOf({ spec }: Job): Given {
  const { model: _m, calibration: _c, evaluation: _e, target: _t, targets: _ts, labels: _l, ...rest } = spec;
  return Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null));
}

/** The whole specification as it is sent; null while something is missing. */
function bodyOf(files: Partial<Record<Part, Chosen>>, wishes: Wish[], choices: Given, labels: string): Given | null {
  const sources = Object.fromEntries(
    PARTS.flatMap((part) => (files[part]?.upload ? [[part, { upload: files[part].upload }]] : [])),
  );
  const pending = PARTS.some((part) => files[part] !== undefined && !files[part].upload);
  if (!('model' in sources) || !('calibration' in sources) || pending) return null;
  const targets = wishes.map(({ name, asked }) => ({ [name]: asked }));
  if (wishes.some(({ asked }) => asked === null)) return null;
  return {
    ...sources,
    ...(targets.length === 1 ? { target: targets[0] } : { targets }),
    ...choices,
    labels: readLabels(labels),
  };
}

function Form({ schemas, again }: { schemas: Schemas; again: Job | null }) {
  const navigate = useNavigate();
  const client = useQueryClient();
  const [files, setFiles] = useState<Partial<Record<Part, Chosen>>>(again === null ? {} : filesOf(again));
  const [wishes, setWishes] = useState<Wish[]>(
    again === null ? [{ name: 'parameter_ratio', asked: 4 }] : wishesOf(again),
  );
  const [choices, setChoices] = useState<Given>(again === null ? {} : choicesOf(again));
  const [labels, setLabels] = useState(
    Object.entries(again?.labels ?? {})
      .map((pair) => pair.join('='))
      .join(', '),
  );
  const [token] = useState(newToken);
  const body = bodyOf(files, wishes, choices, labels);
  const run = useDryRun(body === null ? null : JSON.stringify(body));
  const submit = useMutation({
    mutationFn: () => call<Job>('POST', '/jobs', { body, headers: { 'Idempotency-Key': token } }),
    onSuccess: async ({ id }) => {
      await client.invalidateQueries({ queryKey: ['jobs'] });
      await navigate(`/jobs/${id}`);
    },
  });
  const refused = submit.error ?? run.error;
  const faults = refused instanceof ApiError ? refused.faults : [];
  const faultOf = (part: Part) =>
    faults.find(({ pointer }) => pointer.startsWith(`#${part}`) || pointer.startsWith(`/${part}`));
  const schema = schemas.of('SpecRequest');
  const patch = (part: Part, change: Partial<Chosen>) =>
    setFiles((before) => (before[part] === undefined ? before : { ...before, [part]: { ...before[part], ...change } }));
  const choose = (part: Part, file: File) => {
    setFiles((before) => ({
      ...before,
      [part]: { name: file.name, bytes: file.size, sent: 0, upload: null, error: null },
    }));
    send(file, (sent) => patch(part, { sent })).then(
      ({ id }) => patch(part, { upload: id, sent: 1 }),
      (error: unknown) => patch(part, { error: error instanceof Error ? error : new Error(String(error)) }),
    );
  };
  return (
    <form
      className="submit"
      onSubmit={(event) => {
        event.preventDefault();
        submit.mutate();
      }}
    >
      <div className="stack">
        <section className="card">
          <Files
            chosen={files}
            faults={Object.fromEntries(PARTS.map((part) => [part, faultOf(part)?.detail]))}
            onFile={choose}
            onClear={(part) =>
              setFiles((before) => Object.fromEntries(Object.entries(before).filter(([name]) => name !== part)))
            }
          />
        </section>
        <section className="card card-body stack">
          <Targets schema={schemas.of('Target')} wishes={wishes} faults={faults} onChange={setWishes} />
          <Effort
            value={choices['effort'] as EffortValue}
            onChange={(effort) => {
              const { effort: _, ...rest } = choices;
              setChoices(effort === undefined ? rest : { ...rest, effort });
            }}
            fault={faults.find(({ pointer }) => pointer === '/effort')}
          />
          <SchemaFields
            {...{ schema, schemas, faults }}
            value={choices}
            pointer=""
            only={['constraints', 'priority']}
            onChange={(next) => setChoices(next as Given)}
          />
          <Labels
            value={labels}
            onChange={setLabels}
            fault={faults.find(({ pointer }) => pointer.startsWith('/labels'))}
          />
        </section>
        <details className="card more" open={again !== null}>
          <summary>All other choices: method, coding of weights, benchmark, workers, webhook</summary>
          <div className="card-body">
            <SchemaFields
              {...{ schema, schemas, faults }}
              value={choices}
              pointer=""
              without={OWN}
              onChange={(next) => setChoices(next as Given)}
            />
          </div>
        </details>
      </div>
      <aside className="submit-side stack">
        <Estimate run={run} ready={body !== null} />
        {submit.error === null ? null : <Failure title="The job was not accepted" error={submit.error} />}
        <button className="button primary wide" disabled={body === null || submit.isPending}>
          {submit.isPending ? 'Submitting…' : 'Submit'}
        </button>
        <details>
          <summary className="muted small">The specification as JSON</summary>
          <pre className="code small" tabIndex={0}>
            {JSON.stringify(body ?? choices, null, 2)}
          </pre>
        </details>
      </aside>
    </form>
  );
}

/** A job from files and choices, checked while it is written. */
export default function SubmitPage() {
  useTitle('New job');
  const [search] = useSearchParams();
  const id = search.get('again');
  const schemas = useSchemas();
  const again = useQuery({
    queryKey: ['job', id],
    queryFn: ({ signal }) => get<Job>(`/jobs/${id ?? ''}`, signal),
    enabled: id !== null,
  });
  const error = schemas.error ?? again.error;
  return (
    <>
      <div className="page-head">
        <h1>{id === null ? 'New job' : 'Again with changes'}</h1>
        {id === null ? null : <p>The files and choices of {id}; change what is to be different.</p>}
      </div>
      {error !== null ? (
        <Failure error={error} />
      ) : schemas.data === undefined || (id !== null && again.data === undefined) ? (
        <Loading what="form" />
      ) : (
        <Form key={id ?? 'new'} schemas={schemas.data} again={again.data ?? null} />
      )}
    </>
  );
}
