/**
 * argmin (y - max(z, 0))²/2 + rho (z - v)²/2: the better of z+ = max(0, (y + rho v)/(1 + rho)) and z- = min(0, v)
 * (Zhang et al., arXiv 1505.06798, section 3.2).
 */
export function reluStep(y: Float32Array, v: Float32Array, rho: number, out: Float32Array): void {
  const scale = 1 / (1 + rho);
  for (let i = 0; i < y.length; i++) {
    const yi = y[i] as number;
    const vi = v[i] as number;
    const inner = (yi + rho * vi) * scale;
    const plus = inner > 0 ? inner : 0;
    const minus = vi < 0 ? vi : 0;
    const costPlus = (yi - plus) * (yi - plus) + rho * (plus - vi) * (plus - vi);
    const costMinus = yi * yi + rho * (minus - vi) * (minus - vi);
    out[i] = costPlus <= costMinus ? plus : minus;
  }
}
