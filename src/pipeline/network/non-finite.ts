import { mapSamples, sliceRows, type Dataset } from '../../datasets/index.js';
import { InputError } from '../../errors/index.js';
import { firstNotFinite } from '../../errors/not-finite.js';
import { GraphIndex, operatorOf, Runner, type Model, type Samples, type Tensor } from '../../models/index.js';
import { numberName } from './breakdown.js';

/** Where a number stands that is none. */
export interface Bad {
  tensor: string;
  /** Within the batch. */
  sample: number;
  element: number;
  value: number;
}

/** The first such number in the tensors of these names, if any. */
export function firstBad(values: ReadonlyMap<string, Tensor>, names: Iterable<string>): Bad | null {
  for (const name of names) {
    const tensor = values.get(name);
    if (!(tensor?.data instanceof Float32Array) && !(tensor?.data instanceof Float64Array)) continue;
    const at = firstNotFinite(tensor.data);
    if (at === null) continue;
    const width = tensor.data.length / Math.max(1, tensor.dims[0] ?? 1);
    return { tensor: name, sample: Math.floor(at / width), element: at % width, value: tensor.data[at] };
  }
  return null;
}

/** The batch that a network was run on, and what the client calls it. */
export interface Given {
  images: Samples;
  /** Where the first one is in `data`. */
  begin: number;
  data: Pick<Dataset, 'what' | 'numberOf' | 'faults'>;
}

/**
 * Outputs that are no numbers can be neither kept nor compared.
 * @throws {InputError} naming the node that makes the first of them, and the sample
 */
export async function requireFiniteOutputs(
  model: Model,
  values: ReadonlyMap<string, Tensor>,
  given: Given,
  options: { threads: number },
): Promise<void> {
  const bad = firstBad(
    values,
    model.graph.output.map(({ name }) => name),
  );
  if (bad === null) return;
  // All inner tensors of more samples would take too much.
  const one = mapSamples(given.images, (tensor) => sliceRows(tensor, bad.sample, bad.sample + 1));
  const source = (await firstInside(model, one, options)) ?? bad;
  const node = new GraphIndex(model.graph).producer(source.tensor);
  const label = node === null ? source.tensor : `${node.name === '' ? source.tensor : node.name} (${operatorOf(node)})`;
  const { data } = given;
  const sample = given.begin + bad.sample;
  const detail = `${data.what}: sample ${String(data.numberOf(sample))} makes output ${bad.tensor} of the model ${Number.isNaN(bad.value) ? 'NaN' : 'infinite'}; the first node with such a number is ${label}: ${numberName(source.value)} at element ${String(source.element)} of ${source.tensor}`;
  throw new InputError('invalid_model', detail, {
    faults: [
      { pointer: `#model/node/${node === null || node.name === '' ? source.tensor : node.name}`, detail },
      ...data.faults(detail, sample),
    ],
    ...(node === null || node.name === '' ? {} : { layer: node.name }),
  });
}

/**
 * The first tensor in the order of the graph that holds such a number; null where the runtime does not give inner
 * tensors.
 */
async function firstInside(model: Model, images: Samples, options: { threads: number }): Promise<Bad | null> {
  const names = model.graph.node.flatMap(({ output }) => output).filter((name) => name !== '');
  try {
    const runner = await Runner.open(model, { ...options, capture: names });
    try {
      return firstBad(await runner.run(images), names);
    } finally {
      await runner.release();
    }
  } catch (error) {
    // Sequences and other values that are no tensors cannot be captured.
    if (error instanceof InputError) return null;
    throw error;
  }
}
