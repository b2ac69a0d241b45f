import Value from 'typebox/value';
import { InputError } from '../errors.js';
import { schemaFaults } from './schema-faults.js';
import { SpecSchema, type Spec } from './spec.js';

/**
 * Fills in every default and checks the whole.
 * @throws InputError invalid_spec, with a pointer for every fault
 */
export function resolveSpec(given: unknown): Spec {
  const spec: unknown = Value.Default(SpecSchema, structuredClone(given));
  if (Value.Check(SpecSchema, spec)) return spec;
  const faults = schemaFaults(SpecSchema, spec);
  const first = faults[0];
  const more = faults.length > 1 ? ` (and ${faults.length - 1} more)` : '';
  const detail =
    first === undefined
      ? 'the specification is not valid'
      : `${first.pointer || 'the specification'} ${first.detail}${more}`;
  throw new InputError('invalid_spec', detail, { faults });
}
