import { blocksOf, groupsTotal, KEPT_OF, type Layer, type SparsePart, type SparsePattern } from '../../models/index.js';

/** A sparse part of a given size, its groups spread evenly. */
export function dummySparse(layer: Layer, pattern: SparsePattern, groups: number): SparsePart {
  const { m, d, channels } = layer;
  const taps = d / channels;
  const total = groupsTotal(layer, pattern);
  const filled = (length: number) => new Float32Array(length).fill(0.01);
  const spread = (count: number, of: number) => Array.from({ length: count }, (_, i) => Math.floor((i * of) / count));
  switch (pattern) {
    case 'channel':
      return { pattern, kept: spread(groups, total), weights: filled(m * groups * taps) };
    case 'filter':
      return { pattern, kept: spread(groups, total), weights: filled(groups * d) };
    case 'column':
      return { pattern, kept: spread(groups, total), weights: filled(m * groups) };
    case 'block': {
      const { rows, columns, outputs, inputs } = blocksOf(layer);
      const weights = new Float32Array(m * d);
      const kept: number[] = [];
      for (let row = 0; row < rows; row++) {
        for (const column of spread(groups / rows, columns)) {
          kept.push(row * columns + column);
          for (let o = row * outputs; o < (row + 1) * outputs; o++) {
            const from = o * d + column * inputs * taps;
            weights.fill(0.01, from, from + inputs * taps);
          }
        }
      }
      return { pattern, kept, weights };
    }
    case 'n:m': {
      const weights = new Float32Array(m * d).map((_, i) => ((i % d) % KEPT_OF.m < KEPT_OF.n ? 0.01 : 0));
      return { pattern, kept: [], weights };
    }
    case 'unstructured': {
      const weights = new Float32Array(m * d);
      for (const i of spread(groups, total)) weights[i] = 0.01;
      return { pattern, kept: [], weights };
    }
  }
}
