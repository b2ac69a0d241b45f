/**
 * Seeded generator (mulberry32) for sampling: uniform in [0, 1). `streams` separate independent uses of one seed.
 *
 * The solver, a library of its own, has another generator (compression/linalg/random.ts). With one for both every model
 * of a seed would be another one, which is worth more than a few lines.
 */
export function seededRandom(seed: number, ...streams: number[]): () => number {
  let state = seed >>> 0;
  for (const stream of streams) state = Math.imul(state ^ (stream + 0x9e3779b9), 0x85ebca6b) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** `count` distinct integers of [0, n), ascending. Floyd's method: O(count), whatever n. */
export function sampleDistinct(n: number, count: number, random: () => number): number[] {
  if (count >= n) return Array.from({ length: n }, (_, i) => i);
  const chosen = new Set<number>();
  for (let i = n - count; i < n; i++) {
    const candidate = Math.floor(random() * (i + 1));
    chosen.add(chosen.has(candidate) ? i : candidate);
  }
  return [...chosen].sort((a, b) => a - b);
}
