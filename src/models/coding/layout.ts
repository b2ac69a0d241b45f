/** Where the outputs and inputs of a linear map lie in the flat weights of its operator. */
export interface Layout {
  /** Rows: outputs, each with a scale of its own. Element i belongs to row floor(i / rowStride) % rows. */
  rows: number;
  rowStride: number;
  /** Element i reads input floor(i / inputStride) % inputs. */
  inputs: number;
  inputStride: number;
  /** Groups of rows that read inputs of their own (grouped convolutions). */
  groups: number;
}

/** Row of every element. */
export const rowOf = ({ rows, rowStride }: Layout, i: number): number => Math.floor(i / rowStride) % rows;

/**
 * How much an error in each weight matters: the mean square of the input that it is multiplied with.
 * @param energy mean squares, one per input of the layer (of all groups); null: all alike
 */
export function importances(layout: Layout, count: number, energy: Float32Array | null): Float32Array {
  const result = new Float32Array(count).fill(1);
  if (energy === null) return result;
  // An input that was never seen alive gets a little, so that its weights are not thrown away.
  const floor = 1e-3 * (energy.reduce((a, b) => a + b, 0) / Math.max(1, energy.length)) + 1e-30;
  for (let i = 0; i < count; i++) result[i] = Math.max(floor, energy[inputOf(layout, i)]);
  return result;
}

/** Input of the layer, of all groups, that an element is multiplied with. */
function inputOf(layout: Layout, i: number): number {
  const { rows, inputs, inputStride, groups } = layout;
  const group = groups === 1 ? 0 : Math.floor(rowOf(layout, i) / (rows / groups));
  return group * inputs + (Math.floor(i / inputStride) % inputs);
}

/**
 * What every row gives in the mean: the sum of its weights times the means of what they are multiplied with. Zeros around
 * a feature map are not counted.
 * @param means one per input of the layer (of all groups)
 */
export function meanResponses(layout: Layout, weights: ArrayLike<number>, means: Float32Array): Float64Array {
  const result = new Float64Array(layout.rows);
  for (let i = 0; i < weights.length; i++) {
    const row = rowOf(layout, i);
    result[row] = result[row] + (weights[i] ?? 0) * means[inputOf(layout, i)];
  }
  return result;
}
