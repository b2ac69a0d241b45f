import { useEffect, useState } from 'react';
import { useSearchParams } from 'react-router';
import type { JobFilter } from '../../api/jobs.js';
import type { JobStatus } from '../../api/types.js';
import { Icon } from '../../ui/icon.js';
import { statusName } from '../../ui/status.js';

const STATUSES: JobStatus[] = ['queued', 'running', 'succeeded', 'failed', 'canceled'];
/** Typing ends when nothing was typed for so long. */
const TYPED_MS = 250;

/** The filters are in the address: it can be sent to others, and the way back leads to what was seen. */
export function useFilter(): [JobFilter, (change: Partial<JobFilter>) => void] {
  const [search, setSearch] = useSearchParams();
  const read = (name: keyof JobFilter) => search.get(name) ?? '';
  const filter = { status: read('status'), label: read('label'), text: read('text'), team: read('team') };
  const change = (wanted: Partial<JobFilter>) =>
    setSearch(
      (before) => {
        const next = new URLSearchParams(before);
        for (const [name, value] of Object.entries(wanted)) {
          if (value === '') next.delete(name);
          else next.set(name, value);
        }
        return next;
      },
      { replace: true },
    );
  return [filter, change];
}

/** A text field that reports once typing has ended. */
function Typed(props: {
  name: string;
  value: string;
  placeholder: string;
  search?: boolean;
  onTyped: (text: string) => void;
}) {
  const { name, value, placeholder, search = false, onTyped } = props;
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  useEffect(() => {
    if (text === value) return undefined;
    const timer = window.setTimeout(() => onTyped(text), TYPED_MS);
    return () => window.clearTimeout(timer);
  }, [text]);
  return (
    <div className="search">
      <Icon name={search ? 'search' : 'file'} />
      <input
        className="input"
        type="search"
        aria-label={name}
        placeholder={placeholder}
        value={text}
        onChange={(event) => setText(event.target.value)}
      />
    </div>
  );
}

export function Filters({ filter, change }: { filter: JobFilter; change: (wanted: Partial<JobFilter>) => void }) {
  const chosen = new Set(filter.status === '' ? [] : filter.status.split(','));
  const toggle = (status: string) => {
    const next = new Set(chosen);
    if (!next.delete(status)) next.add(status);
    change({ status: STATUSES.filter((one) => next.has(one)).join(',') });
  };
  return (
    <div className="filters" role="search" aria-label="Jobs">
      <div className="chips" role="group" aria-label="Status">
        <button type="button" className="chip" aria-pressed={chosen.size === 0} onClick={() => change({ status: '' })}>
          All
        </button>
        {STATUSES.map((status) => (
          <button
            key={status}
            type="button"
            className="chip"
            aria-pressed={chosen.has(status)}
            onClick={() => toggle(status)}
          >
            {statusName(status)}
          </button>
        ))}
      </div>
      <Typed
        name="Search"
        placeholder="Model, id or label"
        search
        value={filter.text}
        onTyped={(text) => change({ text })}
      />
      <Typed name="Label" placeholder="label=value" value={filter.label} onTyped={(label) => change({ label })} />
    </div>
  );
}
