/**
 * The Z-step of the ADMM, elementwise:
 *
 *     z = argmin (y - r(z))² / 2 + rho (z - v)² / 2
 *
 * `y` is the wanted value after the activation r, `v` the centre, `out` receives z and may be `v`.
 */
export type ZStep = (y: Float32Array, v: Float32Array, rho: number, out: Float32Array) => void;
