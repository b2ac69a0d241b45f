import { InputError } from '../../errors/index.js';
import type { DatabaseSettings, Tx } from '../connection/context.js';
import type { JobInputs } from '../records.js';

const PARTS = ['model', 'calibration', 'evaluation'] as const;

const needed = (inputs: JobInputs) =>
  PARTS.flatMap((part) => (inputs[part] === null ? [] : [{ part, key: inputs[part].key }]));

/** Storage keys of the uploads that a job reads. */
export const inputKeys = (inputs: JobInputs): string[] => needed(inputs).map(({ key }) => key);

/**
 * Keeps the uploads that a job reads from expiring until it counts as open. The renewal waits for an expiry under way,
 * and makes one that comes later pass by; nor can they be deleted by hand until then; uploads with more time than that
 * are left alone, so that jobs with the same model do not wait for each other. A new job does the same in the statement
 * that makes it (createJob).
 * @returns the keys of those that are kept
 */
export async function holdInputs(tx: Tx, teamId: string, inputs: JobInputs): Promise<string[]> {
  const keys = inputKeys(inputs);
  const held = await tx.$queryRaw<{ key: string }[]>`
    with renewed as (
      update uploads set expires_at = clock_timestamp() + make_interval(hours => 1)
      where team_id = ${teamId} and storage_key = any(${keys}) and expires_at < clock_timestamp() + make_interval(hours => 1)
      returning storage_key
    )
    select storage_key as key from renewed
    union all
    select storage_key from (
      select storage_key from uploads
      where team_id = ${teamId} and storage_key = any(${keys}) and expires_at >= clock_timestamp() + make_interval(hours => 1)
      for key share
    ) as kept`;
  return held.map(({ key }) => key);
}

/** @throws InputError when a part of the inputs is not among the `held` keys */
export function refuseLostInputs(
  inputs: JobInputs,
  held: string[],
  { UPLOAD_TTL_DAYS }: Pick<DatabaseSettings, 'UPLOAD_TTL_DAYS'>,
): void {
  const gone = needed(inputs).flatMap(({ part, key }) => (held.includes(key) ? [] : [part]));
  if (gone.length === 0) return;
  throw new InputError(
    'conflict',
    `the job cannot run: its ${gone.join(' and ')} ${gone.length > 1 ? 'are' : 'is'} not stored any more ` +
      `(UPLOAD_TTL_DAYS = ${UPLOAD_TTL_DAYS}); send what is missing again and submit a new job`,
    { faults: gone.map((part) => ({ pointer: `/${part}`, detail: 'is not stored any more' })) },
  );
}
