export interface ByteRange {
  start: number;
  end: number;
}

/**
 * One range of RFC 9110, section 14; null where the whole is to be sent: no range, several, another unit, or a form
 * that is not one.
 */
export function readRange(header: string | undefined, bytes: number): ByteRange | null | 'unsatisfiable' {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header?.replaceAll(' ', '') ?? '');
  if (match === null) return null;
  const [, first = '', last = ''] = match;
  if (first === '' && last === '') return null;
  const start = first === '' ? Math.max(0, bytes - Number(last)) : Number(first);
  const end = first === '' || last === '' ? bytes - 1 : Math.min(Number(last), bytes - 1);
  if (last !== '' && first !== '' && Number(last) < start) return null;
  if (start >= bytes || (first === '' && Number(last) === 0)) return 'unsatisfiable';
  return { start, end };
}

/**
 * `If-Range`: a strong ETag, or the exact date of the last change. A range of another file would be worse than the
 * whole.
 */
export function rangeApplies(ifRange: string | undefined, etag: string, lastModified: string): boolean {
  return ifRange === undefined || ifRange === etag || ifRange === lastModified;
}
