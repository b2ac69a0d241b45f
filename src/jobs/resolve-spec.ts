import { isDeepStrictEqual } from 'node:util';
import { Compile } from 'typebox/compile';
import { InputError, type Fault } from '../errors/index.js';
import { FAST_CODING, SMALL_CODING } from '../models/coding/weight-codings.js';
import { compileDefaults } from './defaults.js';
import { schemaFaults } from './schema-faults.js';
import { SpecSchema, type Spec } from './spec.js';
import { targetNames, targetOf, type TargetName } from './targets.js';

/** Three times as fast as the schema itself. */
const checker = Compile(SpecSchema);
const fillDefaults = compileDefaults(SpecSchema);

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * With `targets`, `target` is the first of them: who reads only that finds what `metrics` is about. A resolved
 * specification may come again as a new one.
 */
function withFirstTarget(given: unknown): { spec: unknown; faults: Fault[] } {
  const spec: unknown = structuredClone(given);
  if (!isObject(spec) || !Array.isArray(spec['targets']) || spec['targets'].length === 0) return { spec, faults: [] };
  const first: unknown = spec['targets'][0];
  if (spec['target'] === undefined) return { spec: { ...spec, target: first }, faults: [] };
  if (isDeepStrictEqual(spec['target'], first)) return { spec, faults: [] };
  return { spec, faults: [{ pointer: '/target', detail: 'must be left out, or be the first of `targets`' }] };
}

/** Who asks for a speed, for bytes or for outputs, and not for a way to keep weights, leaves that to the plan. */
function withCodings(spec: unknown): unknown {
  if (!isObject(spec)) return spec;
  const { target, targets = [target], method = {} } = spec;
  if (!Array.isArray(targets) || !isObject(method)) return spec;
  const { weights = {} } = method;
  if (!isObject(weights) || weights['coding'] !== undefined) return spec;
  const wants = (name: TargetName) => targets.some((one) => isObject(one) && one[name] !== undefined);
  const chosen = {
    ...(wants('speedup') ? { for_speedup: FAST_CODING } : {}),
    ...(wants('bytes_ratio') ? { for_bytes: SMALL_CODING } : {}),
    ...(targetNames.some((name) => targetOf(name).quality && wants(name)) ? { for_quality: FAST_CODING } : {}),
  };
  return Object.keys(chosen).length === 0
    ? spec
    : { ...spec, method: { ...method, weights: { ...weights, ...chosen } } };
}

/** A fault of the first target is told once, where the client wrote it. */
function withoutCopies(faults: Fault[], given: unknown): Fault[] {
  if (!isObject(given) || given['targets'] === undefined || given['target'] !== undefined) return faults;
  return faults.filter(({ pointer }) => pointer !== '/target' && !pointer.startsWith('/target/'));
}

/** Only classes have an answer that agrees, or is right. */
function answersOfNumbers({ answers, target, targets = [target], constraints }: Spec): Fault[] {
  if (answers !== 'numbers') return [];
  const asked = [...targets, constraints].flatMap((wishes) => Object.keys(wishes));
  const name = asked.find((wish) => wish === 'min_agreement' || wish === 'max_accuracy_drop');
  return name === undefined ? [] : [{ pointer: '/answers', detail: `must be classes, or left out, for ${name}` }];
}

/**
 * Fills in every default and checks the whole.
 * @throws InputError invalid_spec, with a pointer for every fault
 */
export function resolveSpec(given: unknown): Spec {
  const { spec: whole, faults: contradictions } = withFirstTarget(given);
  const spec = fillDefaults(withCodings(whole));
  const isValid = checker.Check(spec);
  if (isValid) contradictions.push(...answersOfNumbers(spec));
  if (contradictions.length === 0 && isValid) return spec;
  const faults = [...contradictions, ...withoutCopies(schemaFaults(SpecSchema, spec), given)];
  const first = faults[0];
  const more = faults.length > 1 ? ` (and ${faults.length - 1} more)` : '';
  const detail =
    first === undefined
      ? 'the specification is not valid'
      : `${first.pointer || 'the specification'} ${first.detail}${more}`;
  throw new InputError('invalid_spec', detail, { faults });
}
