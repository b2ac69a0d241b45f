import type { LayerRow } from '../api/types.js';

/** What became of a layer, in the fewest words. */
export function madeOf(row: LayerRow): string {
  const bits = row.weight_bits === undefined ? [] : [`${row.weight_bits} bits`];
  if (row.decision === 'dense')
    return [row.parameters.after < row.parameters.before ? 'narrower' : 'kept', ...bits].join(', ');
  if (row.decision === 'dropped') return 'left out';
  if (row.decision === null) return '';
  const parts = [];
  if (row.rank !== null && row.rank > 0)
    parts.push(`${row.low_rank_shape ?? 'rank'} ${row.inner_rank === null ? '' : `${row.inner_rank}·`}${row.rank}`);
  if (row.groups !== null && row.groups > 0)
    parts.push(`${row.groups}/${row.groups_total ?? '?'} ${row.pattern ?? 'channel'}s`);
  return [parts.join(' + '), ...bits].join(', ');
}

/** The last part of a name such as /features/features.3/Conv tells layers apart badly: the one before it goes along. */
export function shortName(name: string): string {
  const parts = name.split('/').filter((part) => part !== '');
  return parts.slice(-2).join('/') || name;
}
