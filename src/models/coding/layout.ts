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
  forEachWeight(layout, count, (i, _, input) => {
    result[i] = Math.max(floor, energy[input]);
  });
  return result;
}

/**
 * What every row gives in the mean: the sum of its weights times the means of what they are multiplied with. Zeros around
 * a feature map are not counted.
 * @param means one per input of the layer (of all groups)
 * @param scales of every row, where the weights are integers; default: 1
 */
export function meanResponses(
  layout: Layout,
  weights: Float32Array | Int8Array,
  means: Float32Array,
  scales: Float32Array = new Float32Array(layout.rows).fill(1),
): Float64Array {
  const result = new Float64Array(layout.rows);
  forEachWeight(layout, weights.length, (i, row, input) => {
    result[row] = result[row] + Math.fround(weights[i] * scales[row]) * means[input];
  });
  return result;
}

/** Row by row, every weight with the input of the layer, of all groups, that it is multiplied with. */
function forEachWeight(
  { rows, rowStride, inputs, inputStride, groups }: Layout,
  count: number,
  visit: (i: number, row: number, input: number) => void,
): void {
  const taps = count / (rows * inputs);
  for (let row = 0; row < rows; row++) {
    const first = Math.floor(row / (rows / groups)) * inputs;
    for (let k = 0; k < inputs; k++) {
      const begin = row * rowStride + k * inputStride;
      for (let i = begin; i < begin + taps; i++) visit(i, row, first + k);
    }
  }
}
