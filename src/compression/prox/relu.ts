/**
 * argmin (y - max(z, 0))²/2 + rho (z - v)²/2: the better of z+ = max(0, (y + rho v)/(1 + rho)) and z- = min(0, v)
 * (Zhang et al., arXiv 1505.06798, section 3.2). With y+ = max(y, 0) the first one is it where v + k y+ >= 0, k =
 * sqrt((1 + rho)/rho) - 1: where v >= 0 it covers z- = 0 too, and where v < 0 the costs are rho/(1 + rho) (y - v)² and
 * y².
 *
 * Without branches: which side an entry is on is as good as random, and a wrongly predicted jump costs more than the
 * arithmetic.
 */
export function reluStep(y: Float32Array, v: Float32Array, rho: number, out: Float32Array): void {
  const scale = 1 / (1 + rho);
  const k = Math.sqrt((1 + rho) / rho) - 1;
  const bits = new Int32Array(out.buffer, out.byteOffset, out.length);
  for (let i = 0; i < y.length; i++) {
    const yi = y[i];
    const vi = v[i];
    const inner = (yi + rho * vi) * scale;
    const plus = (inner + Math.abs(inner)) * 0.5;
    out[i] = vi + k * (yi + Math.abs(yi)) * 0.5;
    // -1 where the sum is negative, else 0: its sign bit.
    const negative = bits[i] >> 31;
    out[i] = plus + negative * (plus - vi);
  }
}
