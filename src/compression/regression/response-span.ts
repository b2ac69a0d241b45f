import type { Engine, Matrix } from '../../engines/index.js';
import { leadingRightSubspace, orthonormal } from './rank-step.js';

/** Below this width a layer's responses are cheap enough as they are. */
const MIN_OUTPUTS = 256;

/**
 * Whether a layer has so many more outputs than inputs that its responses are better looked at in the span of its
 * weights.
 */
export const isWide = (m: number, d: number): boolean => m > MIN_OUTPUTS && 2 * d <= m;

/**
 * The responses of a layer lie in the span of its weights' columns, however many outputs it has: an orthonormal basis
 * [m, d] of it, which makes d numbers of a response and loses nothing. Null where that would not pay.
 *
 * @param weights [m, d]
 */
export async function responseSpan(engine: Engine, weights: Matrix): Promise<Matrix | null> {
  return isWide(weights.rows, weights.cols) ? orthonormal(engine, weights) : null;
}

/**
 * Leading right subspace [m, size] of a [rows, m], whose rows lie in the span where one is given; no wider than the
 * span.
 */
export async function leadingInSpan(
  engine: Engine,
  a: Matrix,
  { size, random, span }: { size: number; random: () => number; span: Matrix | null },
): Promise<Matrix> {
  if (span === null) return leadingRightSubspace(engine, a, size, random);
  const within = await engine.multiply(a, span);
  const basis = await leadingRightSubspace(engine, within, Math.min(size, span.cols), random);
  return engine.multiply(span, basis);
}
