import { matrix, type Engine, type Matrix, type Resident } from '../../engines/index.js';
import { centered, columnMeans } from '../linalg/columns.js';

/** The inputs that a masked S is regressed on, and its support. */
export interface MaskedInputs {
  /** Centred [N, d], for the host and for the engine. */
  columns: Matrix;
  held: Resident;
  /** Gram matrix / N [d, d] in the engine; null: the products go through the samples, where inputs outnumber them. */
  gram: Resident | null;
  mean: Float64Array;
  variances: Float64Array;
  dispose(): void;
}

export interface MaskedPart {
  inputs: MaskedInputs;
  /** [m, d] of 1 and 0 */
  mask: Uint8Array;
  /** Rows that S has as a whole: the low-rank part leaves them alone. */
  rows: readonly number[];
  /** Coefficients that the ridge pulls towards, [m, d], zero outside of the support. */
  prior: Matrix;
  ridge: number;
  /** The last coefficients, to start from. */
  warm: Matrix;
}

export async function maskedInputs(engine: Engine, inputs: Matrix): Promise<MaskedInputs> {
  const mean = columnMeans(inputs);
  const columns = centered(inputs, mean);
  const variances = new Float64Array(columns.cols);
  columns.data.forEach((x, i) => {
    const c = i % columns.cols;
    variances[c] = variances[c] + (x * x) / columns.rows;
  });
  const held = engine.hold(columns);
  let gram: Resident | null = null;
  if (columns.cols <= columns.rows) {
    const product = await engine.gram(columns);
    const n = columns.cols;
    gram = engine.hold(
      matrix(
        n,
        n,
        Float32Array.from(product, (x) => x / columns.rows),
      ),
    );
  }
  const dispose = () => {
    held.dispose();
    gram?.dispose();
  };
  return { columns, held, gram, mean, variances, dispose };
}

/**
 * Ridge regression of `target` [N, m] on the inputs, every output on its own support: conjugate gradients on all normal
 * equations (G + ridge D) w = c at once, so that an iteration is one product [m, d] x [d, d].
 * @returns coefficients [m, d], zero outside of the support
 */
export async function maskedRegression(
  engine: Engine,
  { inputs, mask, prior, ridge, warm }: MaskedPart,
  target: Matrix,
  iterations: number,
): Promise<Matrix> {
  const { rows: m, cols: d } = warm;
  const samples = inputs.columns.rows;
  const largest = inputs.variances.reduce((a, b) => Math.max(a, b), 0);
  // A dead input has no variance: the floor keeps its coefficient at the prior.
  const penalties = inputs.variances.map((v) => ridge * Math.max(v, largest > 0 ? 1e-6 * largest : 1));
  const apply = async (w: Matrix): Promise<Matrix> => {
    let out: Matrix;
    if (inputs.gram !== null) out = await engine.multiply(w, inputs.gram);
    else {
      out = await engine.multiply(await engine.multiply(w, inputs.held, { transposeB: true }), inputs.held);
      for (let i = 0; i < out.data.length; i++) out.data[i] = out.data[i] / samples;
    }
    for (let i = 0; i < out.data.length; i++) {
      out.data[i] = mask[i] === 0 ? 0 : out.data[i] + penalties[i % d] * w.data[i];
    }
    return out;
  };
  const w = matrix(m, d, Float32Array.from(warm.data));
  const cross = await engine.multiply(target, inputs.held, { transposeA: true });
  const start = await apply(w);
  const scale = new Float64Array(m);
  const rest = matrix(m, d);
  for (let i = 0; i < rest.data.length; i++) {
    if (mask[i] === 0) continue;
    const wanted = cross.data[i] / samples + penalties[i % d] * prior.data[i];
    const row = Math.floor(i / d);
    scale[row] = scale[row] + wanted * wanted;
    rest.data[i] = wanted - start.data[i];
  }
  const direction = matrix(m, d, Float32Array.from(rest.data));
  let energies = rowProducts(rest, rest);
  for (let k = 0; k < iterations; k++) {
    if (energies.every((energy, row) => energy <= 1e-10 * scale[row])) break;
    const image = await apply(direction);
    const curvature = rowProducts(direction, image);
    const step = energies.map((energy, row) => (curvature[row] > 0 ? energy / curvature[row] : 0));
    for (let i = 0; i < w.data.length; i++) {
      const s = step[Math.floor(i / d)];
      w.data[i] = w.data[i] + s * direction.data[i];
      rest.data[i] = rest.data[i] - s * image.data[i];
    }
    const next = rowProducts(rest, rest);
    for (let i = 0; i < w.data.length; i++) {
      const row = Math.floor(i / d);
      const turn = energies[row] > 0 ? next[row] / energies[row] : 0;
      direction.data[i] = rest.data[i] + turn * direction.data[i];
    }
    energies = next;
  }
  return w;
}

function rowProducts(a: Matrix, b: Matrix): Float64Array {
  const out = new Float64Array(a.rows);
  for (let r = 0, i = 0; r < a.rows; r++) {
    let sum = 0;
    for (let c = 0; c < a.cols; c++, i++) sum += a.data[i] * b.data[i];
    out[r] = sum;
  }
  return out;
}
