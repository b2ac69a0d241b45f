export { AdamState } from './adam.js';
export { allocate, type AllocationLayer, type AllocationTarget } from './allocate.js';
export { allocateThrifty } from './allocate-thrifty.js';
export { applyActivation } from './activation-function.js';
export { behindWeights, slopeMoments } from './output-metric.js';
export { responseMetric, type ResponseMetric } from './response-metric.js';
export { responseSpan } from './response-span.js';
export { costCurve, type Candidate } from './cost-curve.js';
export type { LayerProblem } from './problem.js';
export {
  layerStatistics,
  type Component,
  type LayerStatistics,
  type MeasuredLayer,
  type StatisticsOptions,
} from './statistics.js';
export { refitDense, type RefittedDense } from './refit-dense.js';
export type { TapFits } from './tap-statistics.js';
export { refitLayer, solveLayer, type SolveDiagnostics, type SolvedLayer, type SolveOptions } from './solve-layer.js';
export type { Tolerances } from './admm.js';
