export { AdamState } from './solver/adam.js';
export { MuonState } from './solver/muon.js';
export { allocate } from './allocation/allocate.js';
export type { AllocationLayer, AllocationTarget } from './allocation/allocation-layer.js';
export { costOfChoice, leastCost } from './allocation/structure.js';
export { allocateThrifty } from './allocation/allocate-thrifty.js';
export { behindWeights, slopeMoments } from './low-rank/output-metric.js';
export { responseMetric, type ResponseMetric } from './regression/response-metric.js';
export { activated } from './regression/objective.js';
export { responseSpan } from './regression/response-span.js';
export { costCurve, type Candidate } from './curves/cost-curve.js';
export { requireFinite, type LayerProblem } from './problem.js';
export {
  layerStatistics,
  type Component,
  type LayerStatistics,
  type MeasuredLayer,
  type StatisticsOptions,
} from './curves/statistics.js';
export { MAX_ELIMINATED_COLUMNS } from './sparse/eliminate-channels.js';
export { mostLeanTries } from './solver/choose-lean.js';
export { refitDense, type RefittedDense } from './solver/refit-dense.js';
export type { NarrowFits, TapFits } from './curves/tap-statistics.js';
export {
  refitLayer,
  solveLayer,
  type SolveDiagnostics,
  type SolvedLayer,
  type SolveOptions,
} from './solver/solve-layer.js';
export type { Tolerances } from './solver/admm.js';
