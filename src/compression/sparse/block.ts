import { blocksOf } from '../../models/sparse/index.js';
import { balancedBlocks } from './projections/balanced-blocks.js';
import type { LayerSizes, Support, SupportRule } from './support.js';

function blockSupport(kept: number[], sizes: LayerSizes): Support {
  const { m, d, channels } = sizes;
  const mask = new Uint8Array(m * d);
  const block = blocksOf(sizes);
  const width = (block.inputs * d) / channels;
  for (const index of kept) {
    const first = Math.floor(index / block.columns) * block.outputs;
    const column = (index % block.columns) * width;
    for (let row = first; row < first + block.outputs; row++) mask.fill(1, row * d + column, row * d + column + width);
  }
  return { kept, mask };
}

/** Blocks of outputs x input channels, as many in every block of outputs. */
export const block: SupportRule = {
  project(scores, groups, sizes) {
    const { d, channels } = sizes;
    const { outputs, inputs, rows, columns } = blocksOf(sizes);
    const taps = d / channels;
    const energies = new Float64Array(rows * columns);
    scores.forEach((score, i) => {
      const at = Math.floor(i / d / outputs) * columns + Math.floor(Math.floor((i % d) / taps) / inputs);
      energies[at] = energies[at] + score;
    });
    return blockSupport(balancedBlocks(energies, rows, groups / rows), sizes);
  },
  restore: ({ kept }, sizes) => blockSupport(kept, sizes),
};
