import { useId } from 'react';
import type { Fault } from '../../ui/schema-form.js';

/** As the service knows it: a name, or seconds. */
export type EffortValue = string | number | undefined;

const NAMES: Record<string, { name: string; help: string }> = {
  quick: { name: 'Quick', help: 'Layer by layer, and a few seconds for what lost much.' },
  standard: {
    name: 'Standard',
    help: 'About six minutes in all: what layers leave is for training them together, without labels, two minutes at least.',
  },
  thorough: { name: 'Thorough', help: 'About half an hour in all: for networks with little to spare.' },
};
const USUAL = 'standard';
const MINUTES = 'minutes';
const START_MINUTES = 10;
const SECONDS = 60;

/** How long the job may take, counted on two quiet cores: more of it gives a better network. */
export function Effort({
  value,
  onChange,
  fault,
}: {
  value: EffortValue;
  onChange: (value: EffortValue) => void;
  fault: Fault | undefined;
}) {
  const id = useId();
  const own = typeof value === 'number';
  const chosen = own ? MINUTES : (value ?? USUAL);
  return (
    <div className="field">
      <label className="field-name" htmlFor={id}>
        Effort
      </label>
      <div className="target-line">
        <select
          id={id}
          className="select"
          value={chosen}
          aria-describedby={`${id}-help`}
          onChange={({ target }) =>
            onChange(
              target.value === MINUTES ? START_MINUTES * SECONDS : target.value === USUAL ? undefined : target.value,
            )
          }
        >
          {Object.entries(NAMES).map(([key, { name }]) => (
            <option key={key} value={key}>
              {name}
            </option>
          ))}
          <option value={MINUTES}>As long as I say</option>
        </select>
        {own ? (
          <>
            <input
              className="input"
              type="number"
              aria-label="Minutes"
              min={1}
              step={1}
              value={Math.round(value / SECONDS)}
              onChange={({ target }) => onChange(Math.max(1, Math.round(Number(target.value))) * SECONDS)}
            />
            <span className="muted">minutes, for all targets together</span>
          </>
        ) : null}
      </div>
      <span id={`${id}-help`} className="field-help">
        {fault === undefined ? null : <span className="field-fault">{fault.detail} </span>}
        {own ? '' : `${NAMES[chosen]?.help ?? ''} `}Counted as work of two quiet cores, so that it is the same on every
        machine.
      </span>
    </div>
  );
}
