import { firstNotFinite } from '../../../errors/not-finite.js';
import { beforeSelection, Runner, type Model, type Samples } from '../../../models/index.js';

/**
 * The tensors whose difference is the error of the outputs, by output: the output itself, or, where it sorts, selects
 * or suppresses, what goes into that. Only numbers that all networks make; a mask with infinities cannot be compared.
 *
 * @param samples a small batch that the model takes
 */
export async function comparedTensors(
  original: Model,
  compressed: readonly Model[],
  samples: Samples,
  options: { threads: number },
): Promise<string[]> {
  const outputs = original.graph.output.map(({ name }) => name);
  const before = outputs.map((output) => ({ output, tensors: beforeSelection(original, output) }));
  const inner = [...new Set(before.flatMap(({ tensors }) => tensors))].filter((name) => !outputs.includes(name));
  if (inner.length === 0) return outputs;
  const inputs = new Set(original.graph.input.map(({ name }) => name));
  const made = compressed.map(({ graph }) => new Set(graph.node.flatMap(({ output }) => output)));
  const capture = inner.filter((name) => !inputs.has(name));
  const runner = await Runner.open(original, { ...options, capture });
  try {
    const values = await runner.run(samples);
    const floats = (name: string) => {
      const data = values.get(name)?.data;
      return data instanceof Float32Array ? data : null;
    };
    const numbers = (name: string) => floats(name) !== null;
    const usable = (name: string) => {
      const values = floats(name);
      return values !== null && firstNotFinite(values) === null && made.every((names) => names.has(name));
    };
    const chosen = before.flatMap(({ output, tensors }) => {
      const own = tensors.filter(numbers);
      return own.length > 0 && own.every(usable) ? own : [output];
    });
    return [...new Set(chosen)];
  } finally {
    await runner.release();
  }
}
