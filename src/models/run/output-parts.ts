import { Runner } from './runner.js';
import type { Given } from './feeds.js';
import { intAttribute } from '../ir/attributes.js';
import { GraphIndex } from '../graph/graph-index.js';
import type { Model } from '../ir/model.js';
import { isOperator } from '../ir/operator.js';

/** How an output is put together: sizes of the parts along an axis, one behind the other. */
export interface Parts {
  axis: number;
  sizes: number[];
}

/** Tensors that an output is a concatenation of, as the boxes and the scores of a detector; itself where it is none. */
export function partsOf(output: string, index: GraphIndex): string[] {
  const node = index.producer(output);
  if (node === null || !isOperator(node, 'Concat') || node.input.some((name) => index.initializer(name) !== null))
    return [output];
  return new Set(node.input).size === node.input.length ? node.input : [output];
}

/**
 * The parts of every output that is a concatenation.
 * @param samples a small batch that the model takes
 * @param options names: of inner tensors, instead of the outputs
 */
export async function outputParts(
  model: Model,
  samples: Given,
  { names, ...options }: { threads: number; names?: readonly string[] },
): Promise<Map<string, Parts>> {
  const { graph } = model;
  const index = new GraphIndex(graph);
  const inputs = new Set(graph.input.map(({ name }) => name));
  const concatenated = (names ?? graph.output.map(({ name }) => name))
    .map((name) => ({ name, parts: partsOf(name, index) }))
    .filter(({ name, parts }) => !parts.includes(name) && !parts.some((part) => inputs.has(part)));
  const found = new Map<string, Parts>();
  if (concatenated.length === 0) return found;
  const runner = await Runner.open(model, { ...options, capture: concatenated.flatMap(({ parts }) => parts) });
  try {
    const values = await runner.run(samples);
    for (const { name, parts } of concatenated) {
      const rank = values.get(name)?.dims.length ?? 0;
      const node = index.producer(name);
      if (node === null || rank === 0) continue;
      const axis = (intAttribute(node, 'axis', 0) + rank) % rank;
      // Parts of the batch are no parts of a sample.
      if (axis > 0) found.set(name, { axis, sizes: parts.map((part) => values.get(part)?.dims[axis] ?? 0) });
    }
    return found;
  } finally {
    await runner.release();
  }
}
