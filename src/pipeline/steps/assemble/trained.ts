import { matricesOf, newWeights, type MatrixSize, type Model, type TrainableNetwork } from '../../../models/index.js';
import { WeightOptimizer, type Optimizer, type OptimizerOptions, type Variable } from './optimizer.js';

/** What is changed in place, and how large it was. */
export type Student = Pick<TrainableNetwork, 'weights' | 'sizeOf'>;

/** What of a network distillation changes. */
export interface Trained {
  /** Tensors whose gradients are asked for. */
  weights: ReadonlySet<string>;
  /** Those of them that are changed by directions, where there is time for it. */
  matrices: ReadonlyMap<string, MatrixSize>;
  /** The network as it is before. */
  before: Model;
  /** Steps, in parts of the usual ones. */
  rate: number;
  begin(student: Student, options: OptimizerOptions): Promise<Optimizer>;
  /** The network with what the student has learned. */
  after(student: Model): Model;
}

/** These weights, as they are. */
const plainly = (compressed: Model, weights: ReadonlySet<string>): Trained => ({
  weights,
  matrices: matricesOf(compressed, weights),
  before: compressed,
  rate: 1,
  begin: (student, options) => WeightOptimizer.open(variablesOf(student), options),
  after: (student) => student,
});

/** All weights that compression made. */
export const factorsOf = (compressed: Model, prepared: Model): Trained =>
  plainly(compressed, newWeights(compressed, prepared));

/**
 * All weights that there are: what is left out is made up for by layers that compression did not touch, too.
 * @param but names of the nodes whose weights stay as they are
 */
export const allOf = (compressed: Model, but: ReadonlySet<string>): Trained =>
  plainly(compressed, newWeights(compressed, null, but));

const variablesOf = (student: Student): Map<string, Variable> =>
  new Map([...student.weights].map(([name, { data }]) => [name, { data, size: student.sizeOf(name) }]));
