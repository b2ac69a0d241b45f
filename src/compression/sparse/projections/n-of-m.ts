import { KEPT_OF } from '../../../models/sparse/index.js';

/**
 * Projection on N of every M neighbours (2 of 4) of a row: 1 where the largest scores [rows, cols] of each group stand,
 * ties to the lower index. A last group that is smaller keeps N, too.
 */
export function nOfM(scores: Float32Array, cols: number): Uint8Array {
  const support = new Uint8Array(scores.length);
  for (let row = 0; row < scores.length; row += cols) {
    for (let begin = 0; begin < cols; begin += KEPT_OF.m) {
      const end = Math.min(cols, begin + KEPT_OF.m);
      for (let kept = 0; kept < KEPT_OF.n; kept++) {
        let best = -1;
        for (let i = row + begin; i < row + end; i++) {
          if (support[i] === 0 && (best < 0 || scores[i] > scores[best])) best = i;
        }
        if (best >= 0) support[best] = 1;
      }
    }
  }
  return support;
}
