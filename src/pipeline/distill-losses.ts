import type { OnnxModel } from '../models/index.js';

const NORMALIZED = new Set(['Softmax', 'LogSoftmax']);

/**
 * The outputs whose error is to become smaller: of a softmax its input, where errors are not squeezed. Only tensors that both networks
 * have.
 */
export function outputsBeforeSoftmax({ graph }: OnnxModel, { graph: original }: OnnxModel): string[] {
  const made = new Set(original.node.flatMap((node) => node.output));
  return graph.output.flatMap(({ name }) => {
    const last = graph.node.find((node) => node.output.includes(name));
    const [input] = last?.input ?? [];
    if (last !== undefined && NORMALIZED.has(last.opType) && input !== undefined && made.has(input)) return [input];
    return made.has(name) ? [name] : [];
  });
}
