/** Projection on at most `count` groups: the indices of the largest scores, ties to the lower index, ascending. */
export function topGroups(scores: ArrayLike<number>, count: number): number[] {
  return Array.from(scores, (score, index) => ({ score, index }))
    .sort((a, b) => b.score - a.score || a.index - b.index)
    .slice(0, count)
    .map(({ index }) => index)
    .sort((a, b) => a - b);
}
