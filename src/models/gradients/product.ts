import { floatAttribute, intAttribute, makeFloat, makeInt } from '../ir/attributes.js';
import type { Rule, Tape } from './tape.js';

/** Y = alpha A B + beta C, with B as it is or turned. */
export const gemm: Rule = (tape, node, gradient, wants) => {
  const [a = '', b = '', c = ''] = node.input;
  if (intAttribute(node, 'transA', 0) !== 0) return null;
  const alpha = floatAttribute(node, 'alpha', 1);
  const beta = floatAttribute(node, 'beta', 1);
  const turned = intAttribute(node, 'transB', 0) !== 0;
  const product = (left: string, right: string, flags: string[]) =>
    tape.emit(
      'Gemm',
      [left, right],
      [...flags.map((flag) => makeInt(flag, 1)), ...(alpha === 1 ? [] : [makeFloat('alpha', alpha)])],
    );
  const shape = tape.shapeOf(node.output[0] ?? '');
  return [
    wants(0) ? product(gradient, b, turned ? [] : ['transB']) : null,
    wants(1) ? (turned ? product(gradient, a, ['transA']) : product(a, gradient, ['transA'])) : null,
    c !== '' && wants(2) ? tape.scaled(tape.sumTo(gradient, shape, tape.shapeOf(c)), beta) : null,
  ];
};

/** Y = A B, over leading axes that may be broadcast. */
export const matMul: Rule = (tape, node, gradient, wants) => {
  const [a = '', b = ''] = node.input;
  const left = tape.shapeOf(a);
  const right = tape.shapeOf(b);
  if (left.length < 2 || right.length < 2) return null;
  const lead = tape.shapeOf(node.output[0] ?? '').slice(0, -2);
  const swapped = (name: string, rank: number): string => {
    const perm = Array.from({ length: rank }, (_, i) => i);
    return tape.transpose(name, [...perm.slice(0, -2), rank - 1, rank - 2]);
  };
  const leftGradient = () =>
    tape.sumTo(tape.emit('MatMul', [gradient, swapped(b, right.length)]), [...lead, ...left.slice(-2)], left);
  const rightGradient = () =>
    right.length === 2
      ? rowsProduct(tape, a, gradient, right)
      : tape.sumTo(tape.emit('MatMul', [swapped(a, left.length), gradient]), [...lead, ...right.slice(-2)], right);
  return [wants(0) ? leftGradient() : null, wants(1) ? rightGradient() : null];
};

/** One product over all rows instead of one for every matrix and their sum. */
function rowsProduct(tape: Tape, a: string, gradient: string, [inner = 0, columns = 0]: readonly number[]): string {
  const rows = tape.elements(a) / inner;
  const both = [tape.reshape(a, [rows, inner]), tape.reshape(gradient, [rows, columns])];
  return tape.emit('Gemm', both, [makeInt('transA', 1)]);
}
