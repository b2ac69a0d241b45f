/** @throws {RangeError} unless the numbers ascend within [0, total) */
export function checkKept(layer: string, kept: readonly number[], total: number, what: string): void {
  if (kept.length === 0 || kept.some((k, i) => !(k >= 0 && k < total) || (i > 0 && k <= (kept[i - 1] ?? 0))))
    throw new RangeError(`${layer}: kept ${what} must ascend within 0 to ${String(total - 1)}`);
}

/** 0 to total - 1 without the kept ones. */
export function others(kept: readonly number[], total: number): number[] {
  const taken = new Set(kept);
  return Array.from({ length: total }, (_, i) => i).filter((i) => !taken.has(i));
}

/** Some rows of a [total, width]. */
export function pickRows(a: Float32Array, total: number, rows: readonly number[]): Float32Array {
  const width = a.length / total;
  const out = new Float32Array(rows.length * width);
  rows.forEach((row, i) => out.set(a.subarray(row * width, (row + 1) * width), i * width));
  return out;
}
