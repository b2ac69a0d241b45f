/** The value that a share `q` of the values is at or below; NaN without values. */
export function quantile(values: number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? NaN;
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.ceil(middle) - 1] ?? NaN) + (sorted[Math.floor(middle)] ?? NaN)) / 2;
}

const MIB = 2 ** 20;
export const mib = (bytes: number): string => (bytes / MIB).toFixed(0);

/** The slope of log y over log x by least squares: y grows as x to this power. */
export function fittedExponent(points: readonly { x: number; y: number }[]): number {
  const logs = points.map(({ x, y }) => ({ x: Math.log(x), y: Math.log(y) }));
  const mean = (of: 'x' | 'y') => logs.reduce((sum, p) => sum + p[of], 0) / logs.length;
  const [mx, my] = [mean('x'), mean('y')];
  const cross = logs.reduce((sum, p) => sum + (p.x - mx) * (p.y - my), 0);
  return cross / logs.reduce((sum, p) => sum + (p.x - mx) ** 2, 0);
}
