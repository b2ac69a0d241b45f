import { AdamState, MuonState } from '../../../compression/index.js';
import { Orthogonalizer, orthogonalWork, type MatrixSize, type Running } from '../../../models/index.js';

/** Changes what is trained, in place. Has to be released. */
export interface Optimizer {
  /** @param gradients of a step's samples, by name of the weights */
  step(gradients: ReadonlyMap<string, Float32Array>, rate: number): Promise<void>;
  release(): Promise<void>;
}

export interface OptimizerOptions extends Running {
  /** Weights that are changed as matrices. */
  matrices: ReadonlyMap<string, MatrixSize>;
}

/** What is changed in place. */
export interface Variable {
  data: Float32Array;
  /** Root mean square that a step is in proportion to. */
  size: number;
}

/** Of a step's work, what finding the directions of matrices may take at most. */
const SHARE = 1 / 4;

/**
 * The matrices that a step has time for, the cheapest first: of a fully connected layer of 4096 x 4096 weights the direction alone takes as much as
 * sixty thousand samples through it.
 * @param work of a step's samples
 * @returns the matrices, and the work that comes with them
 */
export function affordableMatrices(
  matrices: ReadonlyMap<string, MatrixSize>,
  work: number,
): { matrices: Map<string, MatrixSize>; work: number } {
  const counted = [...matrices].map((entry) => ({ entry, own: orthogonalWork(entry[1]) }));
  const chosen: [string, MatrixSize][] = [];
  let sum = 0;
  for (const { entry, own } of counted.toSorted((a, b) => a.own - b.own)) {
    if (sum + own > SHARE * work) break;
    sum += own;
    chosen.push(entry);
  }
  return { matrices: new Map(chosen), work: sum };
}

/** Muon for matrices, Adam for everything else, with steps in proportion to the weights of each layer. */
export class WeightOptimizer implements Optimizer {
  private constructor(
    private readonly orthogonalizer: Orthogonalizer,
    private readonly matrices: ReadonlyMap<string, MuonState>,
    private readonly others: ReadonlyMap<string, AdamState>,
  ) {}

  static async open(
    variables: ReadonlyMap<string, Variable>,
    { matrices, ...running }: OptimizerOptions,
  ): Promise<WeightOptimizer> {
    const own = new Map([...matrices].filter(([name]) => variables.has(name)));
    const states = new Map<string, MuonState>();
    const others = new Map<string, AdamState>();
    for (const [name, { data, size }] of variables) {
      const matrix = own.get(name);
      if (matrix === undefined) others.set(name, new AdamState(data, size));
      else states.set(name, new MuonState(data, matrix, size));
    }
    return new WeightOptimizer(await Orthogonalizer.open(own, running), states, others);
  }

  async step(gradients: ReadonlyMap<string, Float32Array>, rate: number): Promise<void> {
    const directions = new Map<string, Float32Array>();
    for (const [name, gradient] of gradients) {
      this.others.get(name)?.step(gradient, rate);
      const state = this.matrices.get(name);
      if (state !== undefined) directions.set(name, state.direction(gradient));
    }
    for (const [name, orthonormal] of await this.orthogonalizer.run(directions))
      this.matrices.get(name)?.step(orthonormal, rate);
  }

  async release(): Promise<void> {
    await this.orthogonalizer.release();
  }
}
