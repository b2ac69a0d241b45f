import type { Tx } from './context.js';
import type { JobInputs } from './records.js';

const PARTS = ['model', 'calibration', 'evaluation'] as const;
type Part = (typeof PARTS)[number];

/**
 * Keeps the uploads that a job reads from expiring until it counts as open. The renewal waits for an expiry under way, and makes
 * one that comes later pass by; nor can they be deleted by hand until then; uploads with more time than that are left alone, so that jobs with the same model do not wait
 * for each other.
 * @returns the parts whose upload is gone
 */
export async function holdInputs(tx: Tx, teamId: string, inputs: JobInputs): Promise<Part[]> {
  const needed = PARTS.flatMap((part) => (inputs[part] === null ? [] : [{ part, key: inputs[part].key }]));
  const keys = needed.map(({ key }) => key);
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
  return needed.filter(({ key }) => !held.some((upload) => upload.key === key)).map(({ part }) => part);
}
