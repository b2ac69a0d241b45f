import { operatorOf } from '../../ir/operator.js';
import { CHOICE_WRITERS } from './choices.js';
import { CONVOLUTION_WRITERS } from './convolutions.js';
import { PLAIN_WRITERS } from './plain-nodes.js';
import type { NodeWriter, Walker } from './walker.js';

const WRITERS: ReadonlyMap<string, NodeWriter> = new Map(
  Object.entries({ ...CONVOLUTION_WRITERS, ...PLAIN_WRITERS, ...CHOICE_WRITERS }),
);

/**
 * Writes the whole network.
 * @param instead writes some nodes in a form of its own; whether it did
 * @throws {InputError} naming the node that the target has no form for
 */
export function writeNetwork(w: Walker, instead: (w: Walker, node: string) => boolean = () => false): void {
  w.inputs();
  for (const node of w.model.graph.node) {
    if (w.fused.has(node) || w.decode(node) || instead(w, node.name)) continue;
    const writer = WRITERS.get(operatorOf(node));
    if (writer === undefined) throw w.fail(node, 'the operator has no counterpart there; ask for ONNX');
    writer(w, node);
  }
  w.outputs();
}
