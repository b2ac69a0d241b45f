import { useId } from 'react';
import type { Fault } from '../../ui/schema-form.js';

/** `pipeline=nightly, owner=anna` */
export function readLabels(text: string): Record<string, string> {
  const pairs = text
    .split(',')
    .map((pair) => pair.trim())
    .filter((pair) => pair !== '');
  return Object.fromEntries(
    pairs.map((pair) => {
      const [name = '', ...value] = pair.split('=');
      return [name.trim(), value.join('=').trim()];
    }),
  );
}

export function Labels({
  value,
  onChange,
  fault,
}: {
  value: string;
  onChange: (text: string) => void;
  fault: Fault | undefined;
}) {
  const id = useId();
  return (
    <div className="field">
      <label className="field-name" htmlFor={id}>
        Labels
      </label>
      <input
        id={id}
        className="input"
        placeholder="pipeline=nightly, owner=anna"
        value={value}
        onChange={(event) => onChange(event.target.value)}
      />
      <span className="field-help">
        {fault === undefined ? null : <span className="field-fault">{fault.detail} </span>}
        To find jobs by, and to sum usage by.
      </span>
    </div>
  );
}
