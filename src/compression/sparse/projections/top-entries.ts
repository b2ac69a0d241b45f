/** Projection on at most `count` single entries: 1 where one of the largest scores stands, ties to the lower index. */
export function topEntries(scores: Float32Array, count: number): Uint8Array {
  const support = new Uint8Array(scores.length);
  if (count <= 0) return support;
  if (count >= scores.length) return support.fill(1);
  const least = Float32Array.from(scores).sort()[scores.length - count];
  let left = count;
  for (let i = 0; i < scores.length; i++) {
    if (scores[i] > least) {
      support[i] = 1;
      left--;
    }
  }
  for (let i = 0; i < scores.length && left > 0; i++) {
    if (scores[i] === least) {
      support[i] = 1;
      left--;
    }
  }
  return support;
}
