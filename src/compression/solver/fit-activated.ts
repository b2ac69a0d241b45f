import { matrix } from '../../engines/index.js';
import { zStep } from '../prox/z-step.js';
import type { Features } from '../regression/features.js';
import { leastSquares, type Fit } from '../regression/fit.js';
import { activated, relative } from '../regression/objective.js';
import { squaredNorm } from '../regression/rank-step.js';
import { admm, type AdmmOptions, type Tolerances } from './admm.js';
import { polish } from './polish.js';
import type { LayerRun } from './set-up.js';

export interface SolveDiagnostics {
  iterations: number;
  converged: boolean;
  /** Root mean squares, in units of the response. */
  primalResidual: number;
  dualResidual: number;
  rho: number;
  /** Relative error of the kept iterate, after the start and after every iteration: never rises. */
  merit: number[];
  /** || Y - r(response) ||² / || Y ||² over all given samples, by the factors as they are returned. */
  relativeError: number;
  /** The same for the linear fit that the iterations started from. */
  relativeErrorLinear: number;
  /** How the activation step was solved. */
  note: string;
}

export const DEFAULT_TOLERANCES: Tolerances = { absolute: 1e-4, relative: 1e-3 };
/** Share of the iterations for the ADMM; the polish takes what is left. */
const ADMM_SHARE = 0.5;

/** The linear fit, then the ADMM from there, then the polish from the best that it found. */
export async function fitActivated(
  { engine, problem, target, rank, options, random }: LayerRun,
  features: Features,
): Promise<{ fit: Fit; diagnostics: SolveDiagnostics }> {
  const { activation } = problem;
  const linear = await leastSquares(engine, features, target, { rank, warm: null, random });
  const y = matrix(target.rows, target.cols, activated(activation, target.data));
  const energy = squaredNorm(y.data);
  const maxIterations = options.reconstruction === 'linear' ? 0 : options.maxIterations;
  const admmOptions: AdmmOptions = {
    rank,
    maxIterations: Math.ceil(ADMM_SHARE * maxIterations),
    tolerances: options.tolerances ?? DEFAULT_TOLERANCES,
    rho: 1,
    stopWhenStalled: true,
    random,
    signal: options.signal,
    onIteration: options.onIteration,
  };
  const problemOf = (start: Fit) => ({ features, activation, y, start });
  const result = await admm(engine, problemOf(linear), admmOptions);
  const polished = await polish(engine, problemOf(result.best), {
    ...admmOptions,
    maxIterations: maxIterations - result.iterations,
    onIteration: (iteration) => options.onIteration?.(result.iterations + iteration),
  });
  const diagnostics: SolveDiagnostics = {
    iterations: result.iterations + polished.iterations,
    converged: result.converged,
    primalResidual: result.primalResidual,
    dualResidual: result.dualResidual,
    rho: result.rho,
    merit: [...result.merit, ...polished.merit].map((loss) => relative(loss, energy)),
    relativeError: relative(polished.loss, energy),
    relativeErrorLinear: relative(result.merit[0] ?? 0, energy),
    note: maxIterations === 0 ? 'linear least squares' : zStep(activation).note,
  };
  return { fit: polished.best, diagnostics };
}
