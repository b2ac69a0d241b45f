/** argmin (y - z)²/2 + rho (z - v)²/2 = (y + rho v) / (1 + rho) */
export function identityStep(y: Float32Array, v: Float32Array, rho: number, out: Float32Array): void {
  const scale = 1 / (1 + rho);
  for (let i = 0; i < y.length; i++) out[i] = (y[i] + rho * v[i]) * scale;
}
