import { availableParallelism } from 'node:os';
import type { Tensor } from 'onnxruntime-node';
import { InfrastructureError } from '../../errors/index.js';
import { loadRuntime, openSession, type Session } from '../../runtime/session.js';
import { accumulate, symmetrize } from '../accumulate.js';
import { matrix, productShape, type Engine, type Matrix, type Operand, type Transpose } from '../engine.js';
import { productModel } from './product-model.js';

/** Products by ONNX Runtime's Gemm. Four sessions at most, one per combination of transposes. */
export async function createOnnxRuntimeEngine(threads: number): Promise<Engine> {
  const runtime = await loadRuntime('the engine onnxruntime');
  const sessions = new Map<number, Promise<Session>>();

  function session(transpose: Transpose): Promise<Session> {
    const key = (transpose.transposeA ? 1 : 0) + (transpose.transposeB ? 2 : 0);
    let found = sessions.get(key);
    if (found === undefined) {
      found = openSession(runtime, productModel(transpose.transposeA ?? false, transpose.transposeB ?? false), {
        intraOpNumThreads: threads,
        interOpNumThreads: 1,
        // A product's result is handed to the caller: an arena would only keep a second copy of the largest one.
        enableCpuMemArena: false,
        extra: { session: { intra_op: { allow_spinning: '0' } } },
      });
      sessions.set(key, found);
    }
    return found;
  }

  const tensor = (a: Matrix): Tensor => new runtime.Tensor('float32', a.data, [a.rows, a.cols]);

  async function multiply(a: Operand, b: Operand, transpose: Transpose = {}): Promise<Matrix> {
    const { rows, inner, cols } = productShape(a, b, transpose);
    // Gemm does not define an empty sum.
    if (rows === 0 || cols === 0 || inner === 0) return matrix(rows, cols);
    const running = await session(transpose);
    // A host engine holds nothing: its residents are the matrices themselves.
    const output = await running.run({ A: tensor(a as Matrix), B: tensor(b as Matrix) });
    const data = output['C']?.data;
    if (!(data instanceof Float32Array)) throw new InfrastructureError('compute_failed', 'the product gave no floats');
    return matrix(rows, cols, data);
  }

  return {
    name: 'onnxruntime',
    device: 'cpu',
    onGpu: false,
    threads: threads === 0 ? availableParallelism() : threads,
    multiply,
    crossGram: (a, b) => accumulate(multiply, a, b),
    gram: async (a) => symmetrize(await accumulate(multiply, a, a), a.cols),
    hold: (a) => ({ ...a, dispose: () => undefined }),
    async dispose() {
      const open = [...sessions.values()];
      sessions.clear();
      for (const each of open) await (await each).release();
    },
  };
}
