import type { Answers } from '../../../jobs/results.js';
import { endsInSoftmax, holdsClasses, type Model, type Tensor } from '../../../models/index.js';
import { floats } from '../network-pass.js';

/** What is known of an output without a look at its values; null: its last axis holds no answers, whatever they are. */
export type KnownAnswers = Answers | 'look' | null;

/** Rows that are no probabilities sum up to something else. */
const ROUNDING = 1e-3;
/** Share of the variance that lies between the columns: above this they are different quantities, as coordinates are. */
const DIFFERENT = 0.8;
const PERHAPS_DIFFERENT = 0.4;
/** Entropy of a row as probabilities, over that of equal ones: a trained classifier is surer than that. */
const UNSURE = 0.9;
const PERHAPS_UNSURE = 0.7;

/**
 * What the first output of a network holds, as far as graph, labels and the client's word say it. Beside another output that
 * comes from a softmax, one without is what is said of the class: a box, landmarks.
 *
 * @param dims of the output
 */
export function knownAnswers(
  model: Model,
  dims: readonly number[],
  { asked, labelled }: { asked: Answers['are'] | undefined; labelled: boolean },
): KnownAnswers {
  const [first = '', ...others] = model.graph.output.map(({ name }) => name);
  if (!holdsClasses(model, first) && dims.length !== 2) return null;
  if (dims.length < 2 || (dims.at(-1) ?? 1) < 2) return null;
  if (asked !== undefined) return { are: asked, known_by: 'asked' };
  if (labelled) return { are: 'classes', known_by: 'labels' };
  if (endsInSoftmax(model, first)) return { are: 'classes', known_by: 'graph' };
  if (others.some((name) => endsInSoftmax(model, name))) return { are: 'numbers', known_by: 'graph' };
  return 'look';
}

/**
 * Tells rows of scores of classes from rows of other numbers by their values. Scores of a trained classifier have either sign,
 * are large beside each other, and those of one class are not always the largest. Where that is not clear it is said that it is
 * assumed.
 */
export class AnswersLook {
  private rows = 0;
  private columns: Float64Array = new Float64Array(0);
  private sum = 0;
  private squares = 0;
  private entropy = 0;
  private least = Infinity;
  private most = -Infinity;
  private areProbabilities = true;

  add(output: Tensor): void {
    const classes = output.dims.at(-1) ?? 1;
    const values = floats(output);
    if (this.columns.length !== classes) this.columns = new Float64Array(classes);
    for (let begin = 0; begin + classes <= values.length; begin += classes)
      this.addRow(values.subarray(begin, begin + classes));
  }

  private addRow(row: Float32Array): void {
    let total = 0;
    for (const [k, value] of row.entries()) {
      this.columns[k] = (this.columns[k] ?? 0) + value;
      total += value;
      this.squares += value * value;
      this.least = Math.min(this.least, value);
      this.most = Math.max(this.most, value);
    }
    this.sum += total;
    this.rows += 1;
    if (Math.abs(total - 1) > ROUNDING) this.areProbabilities = false;
    this.entropy += entropyOf(row) / Math.log(row.length);
  }

  get answers(): Answers {
    const { rows, least, most } = this;
    const count = rows * this.columns.length;
    if (this.areProbabilities && least >= 0) return { are: 'classes', known_by: 'values' };
    const variance = this.squares / count - (this.sum / count) ** 2;
    let between = 0;
    for (const column of this.columns) between += (column / rows - this.sum / count) ** 2 / this.columns.length;
    const different = variance > 0 ? between / variance : 1;
    const entropy = this.entropy / rows;
    // Above 1: not what a sigmoid gives.
    const isPositive = least > 0 && most > 1;
    if (different > DIFFERENT || isPositive) return { are: 'numbers', known_by: 'values' };
    if (entropy > UNSURE) return { are: 'numbers', known_by: 'assumed' };
    const isClear = different < PERHAPS_DIFFERENT && entropy < PERHAPS_UNSURE;
    return { are: 'classes', known_by: isClear ? 'values' : 'assumed' };
  }
}

/** Of a row as probabilities: in parts of its sum where all numbers lie within 0 and 1, as behind a sigmoid, else by a softmax. */
function entropyOf(row: Float32Array): number {
  const isShare = row.every((value) => value >= 0 && value <= 1);
  const largest = row.reduce((most, value) => Math.max(most, value), -Infinity);
  const weights = isShare ? row : row.map((value) => Math.exp(value - largest));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  if (total === 0) return Math.log(row.length);
  return weights.reduce((sum, weight) => (weight > 0 ? sum - (weight / total) * Math.log(weight / total) : sum), 0);
}
