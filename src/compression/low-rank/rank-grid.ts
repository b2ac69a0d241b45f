/** Ranks, widths and groups come in multiples of this. */
export function roundingStep(size: number): number {
  return size >= 64 ? 8 : size >= 32 ? 4 : size >= 16 ? 2 : 1;
}

/** Multiples of `step` up to the limit, coarser above eight of them. */
export function steps(step: number, limit: number): number[] {
  const ranks: number[] = [];
  for (let rank = step; rank <= limit; rank += rank >= 8 * step ? 2 * step : step) ranks.push(rank);
  return ranks;
}
