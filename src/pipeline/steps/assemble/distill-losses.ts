import { GraphIndex, operatorOf, partsOf, type Model } from '../../../models/index.js';

const NORMALIZED = new Set(['Softmax', 'LogSoftmax']);

/**
 * The outputs whose error is to become smaller: of a concatenation its parts, of a softmax its input, where errors are
 * not squeezed. Only tensors that both networks make.
 *
 * @param made tensors of the original
 */
export function outputsToPull({ graph }: Model, made: ReadonlySet<string>): string[] {
  const index = new GraphIndex(graph);
  const parts = graph.output.flatMap(({ name }) => {
    const own = partsOf(name, index);
    return own.every((part) => made.has(part)) ? own : [name];
  });
  return parts.flatMap((name) => {
    const last = index.producer(name);
    const [input] = last?.input ?? [];
    if (last !== null && NORMALIZED.has(operatorOf(last)) && input !== undefined && made.has(input)) return [input];
    return made.has(name) ? [name] : [];
  });
}
