import type { FloatTensor } from '../../datasets/tensor.js';
import { makeFloat, makeInt, makeNode } from '../ir/attributes.js';
import { DataType, type GraphProto, type NodeProto, type TensorProto } from '../ir/messages.js';
import type { Model } from '../ir/model.js';
import { floatTensor, tensorDims } from '../ir/tensors.js';
import { weightedNodes } from '../graph/weighted-nodes.js';
import { Runner, type Running } from '../run/runner.js';

/**
 * The odd polynomial a x + b x³ + c x⁵ that, applied five times, takes every singular value between 0.003 and 1 to one between 0.68 and 1.2:
 * coefficients of Jordan et al. 2024 (Muon).
 */
const [LINEAR, CUBIC, QUINTIC] = [3.4445, -4.775, 2.0315];
const ITERATIONS = 5;
/** From so many times as long as broad a matrix is, the iteration costs less among the products of its shorter side alone. */
const LONG = 1.5;

/** A tensor of weights as a matrix: its first axis, and all others. */
export type MatrixSize = readonly [rows: number, columns: number];

/** Those of `weights` that are one matrix each: not biases, nor weights of convolutions in groups, where outputs have no input in common. */
export function matricesOf(model: Model, weights: ReadonlySet<string>): Map<string, MatrixSize> {
  const found = new Map<string, MatrixSize>();
  const grouped = new Set<string>();
  for (const { weight, group } of weightedNodes(model)) {
    if (weight === null || !weights.has(weight.name)) continue;
    if (group !== 1) grouped.add(weight.name);
    const [rows = 1, ...others] = tensorDims(weight);
    const columns = others.reduce((a, b) => a * b, 1);
    if (Math.min(rows, columns) > 1) found.set(weight.name, [rows, columns]);
  }
  return new Map([...found].filter(([name]) => !grouped.has(name)));
}

const OPSET = 13;
const IR_VERSION = 8;
/** By their place: names of weights could meet those of the nodes. */
const inputOf = (at: number): string => `in${String(at)}`;
const resultOf = (at: number): string => `out${String(at)}`;

/** Multiply-accumulates of one matrix. */
export function orthogonalWork(size: MatrixSize): number {
  const { short, long } = sidesOf(size);
  const square = short * short;
  return long < LONG * short
    ? ITERATIONS * square * (2 * long + short)
    : square * (2 * long + (ITERATIONS * 4 - 3) * short);
}

const sidesOf = ([rows, columns]: MatrixSize) => ({ short: Math.min(rows, columns), long: Math.max(rows, columns) });

/**
 * Takes matrices to such with nearly orthonormal rows (of a broad one) or columns (of a tall one) that are nearest to them, by five steps of an
 * iteration of Newton and Schulz's kind in the runtime. Has to be released.
 */
export class Orthogonalizer {
  private constructor(
    private readonly runner: Runner | null,
    private readonly sizes: ReadonlyMap<string, MatrixSize>,
  ) {}

  /** @param sizes of the matrices by name */
  static async open(sizes: ReadonlyMap<string, MatrixSize>, options: Running): Promise<Orthogonalizer> {
    return new Orthogonalizer(sizes.size === 0 ? null : await Runner.open(modelOf(sizes), options), sizes);
  }

  /** @param matrices row by row, all that it was opened for, with a Frobenius norm of at most 1 */
  async run(matrices: ReadonlyMap<string, Float32Array>): Promise<Map<string, Float32Array>> {
    if (this.runner === null) return new Map();
    const feeds = new Map<string, FloatTensor>();
    for (const [at, [name, dims]] of [...this.sizes].entries()) {
      const data = matrices.get(name);
      if (data === undefined) throw new RangeError(`no matrix ${name}`);
      feeds.set(inputOf(at), { dims: [...dims], data });
    }
    const results = await this.runner.feed(feeds);
    return new Map(
      [...this.sizes.keys()].map((name, at) => {
        const data = results.get(resultOf(at))?.data;
        if (!(data instanceof Float32Array)) throw new RangeError(`${name} was not computed`);
        return [name, data];
      }),
    );
  }

  async release(): Promise<void> {
    await this.runner?.release();
  }
}

function modelOf(sizes: ReadonlyMap<string, MatrixSize>): Model {
  const parts = new Iterations();
  const all = [...sizes.values()];
  for (const [at, size] of all.entries()) parts.add(at, size);
  const graph: GraphProto = {
    name: 'orthonormal',
    ...{ node: parts.nodes, initializer: parts.initializers, valueInfo: [] },
    input: all.map((_, at) => ({ name: inputOf(at), type: { tensorType: { elemType: DataType.FLOAT } } })),
    output: all.map((_, at) => ({ name: resultOf(at) })),
  };
  const proto = {
    irVersion: IR_VERSION,
    opsetImport: [{ domain: '', version: OPSET }],
    producerName: 'sparank',
    graph,
  };
  return { proto, graph, opset: OPSET, format: 'onnx', directory: null, filename: 'orthonormal.onnx' };
}

/** The nodes of all matrices. */
class Iterations {
  readonly nodes: NodeProto[] = [];
  readonly initializers: TensorProto[] = [];

  add(at: number, size: MatrixSize): void {
    const { short, long } = sidesOf(size);
    if (long < LONG * short) this.onMatrix(at, size);
    else this.onProducts(at, size);
  }

  /** X <- a X + (b A + c A²) X with A = X Xᵀ; of a tall matrix its transpose is meant. */
  private onMatrix(at: number, size: MatrixSize): void {
    let x = inputOf(at);
    for (let i = 1; i <= ITERATIONS; i++) {
      const products = this.products(x, size);
      const change = this.gemm([products, products, products], { alpha: QUINTIC, beta: CUBIC });
      const output = i === ITERATIONS ? resultOf(at) : undefined;
      x = this.gemm(isTall(size) ? [x, change, x] : [change, x, x], { beta: LINEAR, output });
    }
  }

  /** The same as P X, with P made of powers of A alone: A <- Q A Q and P <- Q P with Q = a I + b A + c A², all of which commute. */
  private onProducts(at: number, size: MatrixSize): void {
    const name = inputOf(at);
    const { short } = sidesOf(size);
    const scaledUnit = `unit${String(at)}`;
    const unit = new Float32Array(short * short);
    for (let i = 0; i < short; i++) unit[i * short + i] = LINEAR;
    this.initializers.push(floatTensor(scaledUnit, [short, short], unit));
    let products = this.products(name, size);
    let whole = '';
    for (let i = 1; i <= ITERATIONS; i++) {
      const change = this.gemm([products, products, products], { alpha: QUINTIC, beta: CUBIC });
      whole = i === 1 ? this.emit('Add', [change, scaledUnit]) : this.gemm([change, whole, whole], { beta: LINEAR });
      if (i === ITERATIONS) break;
      const half = this.gemm([change, products, products], { beta: LINEAR });
      products = this.gemm([half, change, half], { beta: LINEAR });
    }
    this.gemm(isTall(size) ? [name, whole] : [whole, name], { output: resultOf(at) });
  }

  private products(x: string, size: MatrixSize): string {
    return this.gemm([x, x], isTall(size) ? { transA: 1 } : { transB: 1 });
  }

  private gemm(inputs: string[], { alpha = 1, beta = 1, transA = 0, transB = 0, output }: GemmOptions): string {
    const attributes = [
      makeFloat('alpha', alpha),
      makeFloat('beta', beta),
      makeInt('transA', transA),
      makeInt('transB', transB),
    ];
    const name = output ?? `#${String(this.nodes.length)}`;
    this.nodes.push(makeNode('Gemm', name, inputs, [name], attributes));
    return name;
  }

  private emit(opType: string, inputs: string[]): string {
    const name = `#${String(this.nodes.length)}`;
    this.nodes.push(makeNode(opType, name, inputs, [name]));
    return name;
  }
}

interface GemmOptions {
  alpha?: number;
  beta?: number;
  transA?: number;
  transB?: number;
  output?: string | undefined;
}

const isTall = ([rows, columns]: MatrixSize): boolean => rows > columns;
