import { solveLayer, type SolvedLayer } from '../../compression/index.js';
import { breakdownOf, causeOf } from './breakdown.js';

/** The fit, or why there is none: then the layer stays dense, and the job goes on. */
export async function solveOrKeep(
  ...[engine, problem, size, options]: Parameters<typeof solveLayer>
): Promise<SolvedLayer | { reason: string }> {
  try {
    return await solveLayer(engine, problem, size, options);
  } catch (error) {
    const what = breakdownOf(error);
    if (what === null) throw error;
    return { reason: causeOf(problem, what) };
  }
}
