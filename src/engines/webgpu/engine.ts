import type { InferenceSession, Tensor } from 'onnxruntime-node';
import { InfrastructureError } from '../../errors/index.js';
import { symmetrize } from '../accumulate.js';
import {
  matrix,
  productShape,
  rowsOf,
  type Engine,
  type Matrix,
  type Operand,
  type Resident,
  type Transpose,
} from '../engine.js';
import { createOnnxRuntimeEngine } from '../onnxruntime/engine.js';
import { addToSumModel, beginSumModel, copyModel, deviceProductModel } from './models.js';
import { expectedFaster } from './placement.js';
import { loadWebgpu, openOnGpu } from './sessions.js';

/** Rows summed in single precision before they are added to a pair of floats, as in `accumulate`. */
const CHUNK_ROWS = 512;

/** What a product costs on the device. */
export interface Cost {
  flops: number;
  /** Bytes of operands that are not there yet. */
  sent: number;
  /** Bytes of the result. */
  received: number;
}

/** Whether a product goes to the device. */
export type Placement = (cost: Cost) => boolean;

interface Held extends Resident {
  matrix: Matrix;
  tensor: Promise<Tensor> | null;
}

/**
 * Products by ONNX Runtime's WebGPU; those that do not pay for their way to the device and back by its CPU.
 * @throws {InfrastructureError} `unavailable` where there is no GPU
 */
export async function createWebgpuEngine(threads: number, placement?: Placement): Promise<Engine> {
  const runtime = await loadWebgpu();
  const copies = await openOnGpu(runtime, copyModel(), 'gpu-buffer');
  const host = await createOnnxRuntimeEngine(threads);
  const worthwhile = placement ?? expectedFaster(host.threads);
  const sessions = new Map<string, Promise<InferenceSession>>();
  const held = new Set<Held>();

  function session(key: string, make: () => Promise<InferenceSession>): Promise<InferenceSession> {
    const found = sessions.get(key) ?? make();
    sessions.set(key, found);
    return found;
  }

  const tensor = (a: Matrix): Tensor => new runtime.Tensor('float32', a.data, [a.rows, a.cols]);
  const holding = (a: Operand): Held | null => (held.has(a as Held) ? (a as Held) : null);
  const onHost = (a: Operand): Matrix => holding(a)?.matrix ?? (a as Matrix);

  async function upload(a: Matrix): Promise<Tensor> {
    const { B } = await copies.run({ A: tensor(a) });
    if (B === undefined) throw new InfrastructureError('compute_failed', 'the device gave no buffer');
    return B;
  }

  /** A held matrix is sent when it is first used there. */
  function onDevice(a: Operand): Tensor | Promise<Tensor> {
    const one = holding(a);
    return one === null ? tensor(a as Matrix) : (one.tensor ??= upload(one.matrix));
  }

  /** What is held was sent once, or will be, for all of its products. */
  const toSend = (a: Operand): number => (holding(a) === null ? 4 * a.rows * a.cols : 0);

  async function multiply(a: Operand, b: Operand, transpose: Transpose = {}): Promise<Matrix> {
    const { rows, inner, cols } = productShape(a, b, transpose);
    const cost = { flops: 2 * rows * inner * cols, sent: toSend(a) + toSend(b), received: 4 * rows * cols };
    if (cost.flops === 0) return matrix(rows, cols);
    if (!worthwhile(cost)) return host.multiply(onHost(a), onHost(b), transpose);
    const [ta, tb] = [transpose.transposeA ?? false, transpose.transposeB ?? false];
    const running = await session(`${String(ta)} ${String(tb)}`, () =>
      openOnGpu(runtime, deviceProductModel(ta, tb), 'cpu'),
    );
    return matrix(rows, cols, floats((await running.run({ A: await onDevice(a), B: await onDevice(b) }))['C']));
  }

  /** aᵀ b by chunks of rows; the sum stays on the device. */
  async function crossGram(a: Matrix, b: Matrix): Promise<Float64Array> {
    if (a.rows !== b.rows) throw new RangeError(`${a.rows} and ${b.rows} rows of a Gram matrix differ`);
    const cost = {
      flops: 2 * a.cols * a.rows * b.cols,
      sent: toSend(a) + (a === b ? 0 : toSend(b)),
      received: 8 * a.cols * b.cols,
    };
    if (cost.flops === 0 || !worthwhile(cost)) return host.crossGram(a, b);
    let pair: { high: Tensor; low: Tensor } | null = null;
    for (let begin = 0; begin < a.rows; begin += CHUNK_ROWS) {
      const end = Math.min(begin + CHUNK_ROWS, a.rows);
      const A = tensor(rowsOf(a, begin, end));
      const feeds = { A, B: a === b ? A : tensor(rowsOf(b, begin, end)) };
      const results = end === a.rows ? 'cpu' : 'gpu-buffer';
      const adding: InferenceSession =
        pair === null
          ? await session(`begin ${results}`, () => openOnGpu(runtime, beginSumModel(), results))
          : await session(`add ${results}`, () => openOnGpu(runtime, addToSumModel(), results));
      const { sum, rest }: InferenceSession.ReturnType = await adding.run({ ...feeds, ...(pair ?? {}) });
      pair?.high.dispose();
      pair?.low.dispose();
      if (sum === undefined || rest === undefined)
        throw new InfrastructureError('compute_failed', 'the sum is missing');
      pair = { high: sum, low: rest };
    }
    const [high, low] = [floats(pair?.high), floats(pair?.low)];
    const total = new Float64Array(high.length);
    for (let i = 0; i < total.length; i++) total[i] = high[i] + low[i];
    return total;
  }

  return {
    name: 'webgpu',
    device: 'webgpu',
    onGpu: true,
    threads: host.threads,
    multiply,
    crossGram,
    gram: async (a) => symmetrize(await crossGram(a, a), a.cols),
    hold(a) {
      const one: Held = {
        rows: a.rows,
        cols: a.cols,
        matrix: a,
        tensor: null,
        dispose() {
          held.delete(one);
          // One that could not be sent told so to whoever used it.
          void one.tensor?.then((sent) => sent.dispose()).catch(() => undefined);
          one.tensor = null;
        },
      };
      held.add(one);
      return one;
    },
    async dispose() {
      for (const one of [...held]) one.dispose();
      const open = [...sessions.values()];
      sessions.clear();
      await host.dispose();
      for (const each of open) await (await each).release();
      await copies.release();
    },
  };
}

function floats(tensor: Tensor | undefined): Float32Array {
  const data = tensor?.data;
  if (!(data instanceof Float32Array)) throw new InfrastructureError('compute_failed', 'the device gave no floats');
  return data;
}
