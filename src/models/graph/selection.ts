import { readBy } from './graph-index.js';
import type { NodeProto } from '../ir/messages.js';
import { initializersOf, realInputs, type Model } from '../ir/model.js';
import { isOperator } from '../ir/operator.js';

/** Sort, select or suppress: a small change of what goes in may change the place of everything that comes out. */
const SELECTING = ['TopK', 'NonMaxSuppression', 'ArgMax', 'ArgMin', 'NonZero'] as const;
/** Between the numbers and a selection by truth. */
const DECIDING = ['Greater', 'GreaterOrEqual', 'Less', 'LessOrEqual', 'Equal', 'Not', 'And', 'Or', 'Cast'] as const;
const LAYERS = ['Conv', 'ConvTranspose', 'Gemm', 'MatMul'] as const;

/**
 * The tensors that an output which sorts, selects or suppresses is made from, before it does: with those two networks
 * can be compared, with lists of what was selected they cannot. The output itself where nothing is selected, or where
 * layers come behind the selection. Integers (sizes, indices) may be among them.
 */
export function beforeSelection({ graph }: Model, output: string): string[] {
  const constants = initializersOf(graph);
  const computed = new Set(realInputs(graph).map(({ name }) => name));
  const selected = new Set<string>();
  const makers = new Map<string, NodeProto>();
  // Nodes of a graph stand behind those that they read.
  for (const node of graph.node) {
    const read = [...readBy(node)];
    const changed = read.some((name) => selected.has(name)) || isOperator(node, ...SELECTING);
    for (const name of node.output) {
      makers.set(name, node);
      if (read.some((input) => computed.has(input))) computed.add(name);
      if (changed) selected.add(name);
    }
  }
  if (!selected.has(output)) return [output];
  const found = new Set<string>();
  const seen = new Set<string>();
  const pending = [output];
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    if (seen.has(name)) continue;
    seen.add(name);
    const node = makers.get(name);
    const decides = node !== undefined && isOperator(node, ...DECIDING);
    if (node !== undefined && (selected.has(name) || decides)) {
      const hasWeights = node.input.some((input) => constants.has(input));
      if (selected.has(name) && hasWeights && isOperator(node, ...LAYERS)) return [output];
      pending.push(...[...readBy(node)].filter((input) => computed.has(input)));
    } else found.add(name);
  }
  return [...found];
}
