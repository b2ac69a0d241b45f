import { useId } from 'react';
import type { Schema, Schemas } from '../api/schema.js';

export interface Fault {
  pointer: string;
  detail: string;
}

interface FieldProps {
  name: string;
  schema: Schema;
  schemas: Schemas;
  value: unknown;
  onChange: (value: unknown) => void;
  pointer: string;
  faults: Fault[];
}

export const inWords = (name: string): string => {
  const text = name.replaceAll('_', ' ').replaceAll(/\bmac\b/g, 'MAC');
  return text.charAt(0).toUpperCase() + text.slice(1);
};

const asText = (value: unknown): string =>
  value === null || value === undefined ? '' : typeof value === 'string' ? value : JSON.stringify(value);

/** Of `anyOf [X, null]`, X: an empty field is null. */
function unwrap(schema: Schema, schemas: Schemas): { inner: Schema; nullable: boolean } {
  const all = schemas.follow(schema);
  const options = all.anyOf ?? all.oneOf;
  if (options === undefined) return { inner: all, nullable: false };
  const inner = options.find(({ type }) => type !== 'null');
  return {
    inner: inner === undefined ? all : schemas.follow(inner),
    nullable: options.some(({ type }) => type === 'null'),
  };
}

function Help({ id, text, fault }: { id: string; text: string | undefined; fault: Fault | undefined }) {
  if (text === undefined && fault === undefined) return null;
  return (
    <span id={id} className="field-help">
      {fault === undefined ? null : <span className="field-fault">{fault.detail} </span>}
      {text}
    </span>
  );
}

function Several({
  name,
  inner,
  value,
  onChange,
  help,
}: {
  name: string;
  inner: Schema;
  value: unknown;
  onChange: (value: unknown) => void;
  help: React.ReactNode;
}) {
  const options = inner.items?.enum ?? [];
  const chosen = new Set(Array.isArray(value) ? value : Array.isArray(inner.default) ? inner.default : []);
  return (
    <fieldset className="field">
      <legend className="field-name">{inWords(name)}</legend>
      <div className="chips">
        {options.map((option) => (
          <label key={option} className="check">
            <input
              type="checkbox"
              checked={chosen.has(option)}
              onChange={(event) =>
                onChange(options.filter((one) => (one === option ? event.target.checked : chosen.has(one))))
              }
            />
            {String(option)}
          </label>
        ))}
      </div>
      {help}
    </fieldset>
  );
}

/** Characters: more than fit into a few lines below a field get the whole width. */
const LONG_HELP = 110;

/** Numbers of a list, with commas. */
const readList = (text: string): number[] =>
  text
    .split(/[\s,]+/)
    .filter((part) => part !== '')
    .map(Number);

/** One choice, as its schema describes it. */
export function SchemaField({ name, schema, schemas, value, onChange, pointer, faults }: FieldProps) {
  const id = useId();
  const { inner, nullable } = unwrap(schema, schemas);
  const outer = schemas.follow(schema);
  const fault = faults.find((one) => one.pointer === pointer || one.pointer.startsWith(`${pointer}/`));
  const text = outer.description ?? inner.description;
  if (inner.properties !== undefined)
    return (
      <fieldset className="field-group">
        <legend className="field-name">{inWords(name)}</legend>
        {text === undefined ? null : <p className="field-help">{text}</p>}
        <SchemaFields {...{ schema: inner, schemas, pointer, faults, onChange }} value={value} />
      </fieldset>
    );
  const help = <Help id={`${id}-help`} text={text} fault={fault} />;
  if (inner.type === 'array' && inner.items?.enum !== undefined)
    return <Several {...{ name, inner, value, onChange, help }} />;
  const common = {
    id,
    'aria-describedby': `${id}-help`,
    ...(fault === undefined ? {} : { 'aria-invalid': true as const }),
  };
  const fallback = asText(outer.default ?? inner.default);
  const control = () => {
    if (inner.enum !== undefined)
      return (
        <select
          {...common}
          className="select"
          value={asText(value ?? inner.default)}
          onChange={(event) => {
            const chosen = inner.enum?.find((one) => String(one) === event.target.value);
            onChange(chosen === inner.default || event.target.value === '' ? undefined : chosen);
          }}
        >
          {inner.default === undefined ? <option value="">any</option> : null}
          {inner.enum.map((option) => (
            <option key={option} value={option}>
              {option}
            </option>
          ))}
        </select>
      );
    if (inner.type === 'integer' || inner.type === 'number')
      return (
        <input
          {...common}
          className="input"
          type="number"
          step={inner.type === 'integer' ? 1 : 'any'}
          min={inner.minimum}
          max={inner.maximum}
          placeholder={fallback === '' ? (nullable ? 'as the service decides' : 'not asked for') : fallback}
          value={typeof value === 'number' ? value : ''}
          onChange={(event) => onChange(event.target.value === '' ? undefined : Number(event.target.value))}
        />
      );
    if (inner.type === 'array')
      return (
        <input
          {...common}
          className="input"
          placeholder={Array.isArray(inner.default) ? inner.default.join(', ') : ''}
          defaultValue={Array.isArray(value) ? value.join(', ') : ''}
          onBlur={(event) => {
            const given = event.target.value;
            const list =
              inner.items?.type === 'integer'
                ? readList(given)
                : given
                    .split(',')
                    .map((part) => part.trim())
                    .filter((part) => part !== '');
            onChange(list.length === 0 ? undefined : list);
          }}
        />
      );
    return (
      <input
        {...common}
        className="input"
        placeholder={fallback}
        value={asText(value)}
        onChange={(event) => onChange(event.target.value === '' ? undefined : event.target.value)}
      />
    );
  };
  return (
    <div className={`field ${(text?.length ?? 0) > LONG_HELP ? 'field-explained' : ''}`}>
      <label className="field-name" htmlFor={id}>
        {inWords(name)}
      </label>
      {control()}
      {help}
    </div>
  );
}

interface FieldsProps extends Omit<FieldProps, 'name'> {
  only?: string[];
  without?: string[];
}

/** All choices of an object; those that are not made stay away. */
export function SchemaFields({ schema, schemas, value, onChange, pointer, faults, only, without = [] }: FieldsProps) {
  const given = typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  const names = Object.keys(schema.properties ?? {}).filter(
    (name) => !without.includes(name) && (only?.includes(name) ?? true),
  );
  return (
    <div className="fields">
      {names.map((name) => (
        <SchemaField
          key={name}
          name={name}
          schema={schema.properties?.[name] ?? {}}
          schemas={schemas}
          value={given[name]}
          pointer={`${pointer}/${name}`}
          faults={faults}
          onChange={(next) => {
            const { [name]: _, ...rest } = given;
            const all = next === undefined ? rest : { ...rest, [name]: next };
            onChange(Object.keys(all).length === 0 && pointer !== '' ? undefined : all);
          }}
        />
      ))}
    </div>
  );
}
