import type * as Core from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { accumulate, symmetrize } from '../accumulate.js';
import { matrix, productShape, type Engine, type Matrix, type Operand, type Transpose } from '../engine.js';

export type TensorFlow = typeof Core;

/** Products by a TensorFlow.js backend that `tf` has already selected. */
export function tensorflowEngine(tf: TensorFlow, { gpu, threads }: { gpu: boolean; threads: number }): Engine {
  const held = new Map<object, Tensor2D>();
  const upload = (a: Matrix): Tensor2D => tf.tensor2d(a.data, [a.rows, a.cols]);

  async function multiply(a: Operand, b: Operand, transpose: Transpose = {}): Promise<Matrix> {
    const { rows, inner, cols } = productShape(a, b, transpose);
    if (rows === 0 || cols === 0 || inner === 0) return matrix(rows, cols);
    const product = tf.tidy(() =>
      tf.matMul(
        held.get(a) ?? upload(a as Matrix),
        held.get(b) ?? upload(b as Matrix),
        transpose.transposeA ?? false,
        transpose.transposeB ?? false,
      ),
    );
    try {
      return matrix(rows, cols, await product.data<'float32'>());
    } finally {
      product.dispose();
    }
  }

  return {
    name: 'tensorflow',
    device: gpu ? 'tensorflow gpu' : 'tensorflow cpu',
    onGpu: gpu,
    threads,
    multiply,
    crossGram: (a, b) => accumulate(multiply, a, b),
    gram: async (a) => symmetrize(await accumulate(multiply, a, a), a.cols),
    hold(a) {
      const resident = {
        rows: a.rows,
        cols: a.cols,
        dispose() {
          held.get(resident)?.dispose();
          held.delete(resident);
        },
      };
      held.set(resident, upload(a));
      return resident;
    },
    dispose() {
      for (const tensor of held.values()) tensor.dispose();
      held.clear();
      return Promise.resolve();
    },
  };
}
