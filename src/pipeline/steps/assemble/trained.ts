import { AdamState } from '../../../compression/index.js';
import { newWeights, type Model, type TrainableNetwork } from '../../../models/index.js';

/** Changes what is trained, in place. */
export interface Optimizer {
  /** @param gradients of a step's samples, by name of the weights */
  step(gradients: ReadonlyMap<string, Float32Array>, rate: number): void;
}

/** What is changed in place, and how large it was. */
export type Student = Pick<TrainableNetwork, 'weights' | 'sizeOf'>;

/** What of a network distillation changes. */
export interface Trained {
  /** Tensors whose gradients are asked for. */
  weights: ReadonlySet<string>;
  /** The network as it is before. */
  before: Model;
  /** Steps, in parts of the usual ones. */
  rate: number;
  begin(student: Student): Optimizer;
  /** The network with what the student has learned. */
  after(student: Model): Model;
}

/** These weights, as they are. */
const plainly = (compressed: Model, weights: ReadonlySet<string>): Trained => ({
  weights,
  before: compressed,
  rate: 1,
  begin: adam,
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

/** Steps in proportion to the weights of each layer. */
export function adam(student: Student): Optimizer {
  const states = new Map(
    [...student.weights].map(([name, { data }]) => [name, new AdamState(data, student.sizeOf(name))]),
  );
  return {
    step: (gradients, rate) => {
      for (const [name, gradient] of gradients) states.get(name)?.step(gradient, rate);
    },
  };
}
