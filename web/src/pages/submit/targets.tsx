import type { Schema } from '../../api/schema.js';
import type { Fault } from '../../ui/schema-form.js';
import { Icon } from '../../ui/icon.js';

export interface Wish {
  name: string;
  asked: number | null;
}

const WORDS: Record<string, { name: string; help: string; start: number }> = {
  parameter_ratio: { name: 'Fewer parameters', help: 'times', start: 4 },
  mac_ratio: { name: 'Fewer multiply-accumulates', help: 'times', start: 3 },
  nonzero_ratio: { name: 'Fewer nonzeros', help: 'times', start: 8 },
  bytes_ratio: { name: 'Smaller file', help: 'times fewer bytes', start: 16 },
  speedup: { name: 'Faster, as measured', help: 'times', start: 2 },
  max_accuracy_drop: { name: 'As small as accuracy allows', help: 'of 1 may be lost; needs labels', start: 0.01 },
};

const MOST = 8;

/** Names and bounds of the targets that the service knows. */
export function targetsOf(schema: Schema): { name: string; bounds: Schema }[] {
  return (schema.anyOf ?? schema.oneOf ?? []).flatMap(({ properties = {} }) =>
    Object.entries(properties).map(([name, bounds]) => ({ name, bounds })),
  );
}

export interface TargetsProps {
  schema: Schema;
  wishes: Wish[];
  faults: Fault[];
  onChange: (wishes: Wish[]) => void;
}

/** One number to reach; several make a trade-off curve in one job. */
export function Targets({ schema, wishes, faults, onChange }: TargetsProps) {
  const known = targetsOf(schema);
  const change = (index: number, wish: Wish) => onChange(wishes.map((one, i) => (i === index ? wish : one)));
  return (
    <fieldset className="field-group">
      <legend className="field-name">Target</legend>
      <p className="field-help">
        What to reach; the service divides it over the layers. Several targets give a model each, and the curve between
        them, in one job.
      </p>
      {wishes.map(({ name, asked }, i) => {
        const bounds = known.find((one) => one.name === name)?.bounds ?? {};
        const fault = faults.find(({ pointer }) => pointer.startsWith(wishes.length > 1 ? `/targets/${i}` : '/target'));
        return (
          <div key={i} className="target-line">
            <select
              className="select"
              aria-label={`Target ${i + 1}`}
              value={name}
              onChange={(event) =>
                change(i, { name: event.target.value, asked: WORDS[event.target.value]?.start ?? bounds.minimum ?? 1 })
              }
            >
              {known.map((one) => (
                <option key={one.name} value={one.name}>
                  {WORDS[one.name]?.name ?? one.name}
                </option>
              ))}
            </select>
            <input
              className="input"
              type="number"
              step="any"
              aria-label={`How much, target ${i + 1}`}
              min={bounds.minimum}
              max={bounds.maximum}
              value={asked ?? ''}
              {...(fault === undefined ? {} : { 'aria-invalid': true as const })}
              onChange={(event) =>
                change(i, { name, asked: event.target.value === '' ? null : Number(event.target.value) })
              }
            />
            <span className="muted">{WORDS[name]?.help}</span>
            {wishes.length > 1 ? (
              <button
                type="button"
                className="button plain square"
                aria-label={`Remove target ${i + 1}`}
                onClick={() => onChange(wishes.filter((_, other) => other !== i))}
              >
                <Icon name="cross" />
              </button>
            ) : null}
            {fault === undefined ? null : <span className="field-fault">{fault.detail}</span>}
          </div>
        );
      })}
      {wishes.length < MOST ? (
        <button
          type="button"
          className="button small"
          onClick={() => {
            const last = wishes.at(-1);
            onChange([...wishes, { name: last?.name ?? 'parameter_ratio', asked: (last?.asked ?? 2) * 2 }]);
          }}
        >
          <Icon name="plus" /> Another point
        </button>
      ) : null}
    </fieldset>
  );
}
