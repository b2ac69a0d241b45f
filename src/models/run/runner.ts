import { randomUUID } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
// First: it must be evaluated before the runtime.
import {
  loadRuntime,
  openSession,
  providersOf,
  type RuntimeDevice,
  type Session,
  type SessionOptions,
} from '../../runtime/session.js';
import { type InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { SparankError } from '../../errors/index.js';
import { encodeModel } from '../ir/codec.js';
import { withFields } from '../ir/messages.js';
import type { Model } from '../ir/model.js';
import { isOperator } from '../ir/operator.js';
import { GuardedSession } from './guarded-session.js';
import { badModel, misleadingTexts, runtimeError } from './runtime-error.js';
import {
  checkColumns,
  checkPorts,
  fedDims,
  fixedBatchOf,
  portsOf,
  samplesFor,
  type Given,
  type Port,
} from './feeds.js';
import { castTensor, castTo, padRows } from './tensor-ops.js';
import type { Column } from '../../datasets/dataset.js';
import type { InputShape } from '../../datasets/options.js';
import { concatenate, countOf, mapSamples, sliceRows, type Samples } from '../../datasets/samples.js';
import type { Tensor, TensorData } from '../../datasets/tensor.js';

/** What a network runs on. */
export interface Running {
  /** 0: as many as the machine has cores. */
  threads: number;
  /** Default: the processor, which takes over where another device fails (`GuardedSession`). */
  device?: RuntimeDevice | undefined;
}

export interface RunnerOptions extends Running {
  /** Names of inner tensors that `run` returns beside the outputs. */
  capture?: readonly string[];
  /**
   * Whether the runtime keeps the memory of its feature maps from run to run, at up to twice their size; default: yes.
   * Without, large batches take a tenth more time (measured on VGG-16 at 32 images: 1.5 instead of 2.4 GiB).
   */
  arena?: boolean;
}

/** A network loaded in ONNX Runtime. Has to be released. */
export class Runner {
  readonly inputs: Port[];
  /** Without the captured tensors. */
  readonly outputs: Port[];
  /** The batch size that the model is fixed to, or null. */
  readonly fixedBatch: number | null;

  private constructor(
    private readonly session: GuardedSession,
    capture: readonly string[],
    private readonly misleading: readonly string[],
    /** Shapes of inputs, of those whose number of axes is known. */
    private readonly shapes: ReadonlyMap<string, InputShape> | null,
  ) {
    const captured = new Set(capture);
    this.inputs = session.inputMetadata.map(port);
    this.outputs = session.outputMetadata.map(port).filter(({ name }) => !captured.has(name));
    this.fixedBatch = fixedBatchOf(this.inputs);
  }

  /**
   * @param model a parsed model, or the path of an .onnx file (its external data beside it)
   * @throws {InputError} when the runtime refuses the model
   */
  static async open(model: Model | string, options: RunnerOptions): Promise<Runner> {
    const { capture = [], device = 'cpu' } = options;
    const settingsOn = (own: RuntimeDevice): SessionOptions => ({
      executionProviders: providersOf(own, () => (typeof model === 'string' ? [] : lackingOnWebgpu(model))),
      enableCpuMemArena: options.arena ?? true,
      ...(options.threads > 0 ? { intraOpNumThreads: options.threads } : {}),
      // Within a run threads spin, as for any user of the runtime. After it they would go on for tens of milliseconds
      // and take the cores from whoever runs next: of two networks timed in turn, the faster one looked half as fast as
      // it is alone.
      extra: { session: { force_spinning_stop: '1' } },
    });
    const misleading = typeof model === 'string' ? [] : misleadingTexts(model);
    try {
      const session = await GuardedSession.open(device, (own) => createSession(model, capture, settingsOn(own)));
      const shapes = typeof model === 'string' ? null : new Map(portsOf(model).map(({ name, shape }) => [name, shape]));
      return new Runner(session, capture, misleading, shapes);
    } catch (error) {
      if (isOurs(error)) throw error;
      throw runtimeError(error, 'ONNX Runtime cannot load the model', misleading);
    }
  }

  /** Where it runs, as far as is known by now. */
  get device(): RuntimeDevice {
    return this.session.device;
  }

  /** Checks that these samples can be fed to the model; `what` is what the client calls the file. */
  checkSamples(columns: readonly Column[], what = 'dataset'): void {
    checkPorts(this.inputs);
    checkColumns(this.inputs, columns, what);
  }

  /**
   * Runs one batch. Data is cast to the model's input types; a model with a fixed batch size is run as often as needed,
   * the last time padded. Returns outputs and captured tensors by name.
   */
  async run(batch: Given): Promise<Map<string, Tensor>> {
    const samples = samplesFor(
      this.inputs.map(({ name }) => name),
      batch,
    );
    const rows = countOf(samples);
    const { fixedBatch } = this;
    if (fixedBatch === null || fixedBatch === rows) return this.feed(samples);
    const parts: Map<string, Tensor>[] = [];
    for (let begin = 0; begin < rows; begin += fixedBatch) {
      const count = Math.min(fixedBatch, rows - begin);
      const part = mapSamples(samples, (tensor) => padRows(sliceRows(tensor, begin, begin + count), fixedBatch));
      const results = await this.feed(part);
      // Tensors whose first axis is not the batch are left whole.
      const scale = (t: Tensor) => ((t.dims[0] ?? 0) * count) / fixedBatch;
      parts.push(new Map([...results].map(([name, t]) => [name, sliceRows(t, 0, scale(t))])));
    }
    return new Map(
      [...(parts[0]?.keys() ?? [])].map((name) => [name, concatenate(parts.flatMap((p) => p.get(name) ?? []))]),
    );
  }

  /** Samples in the types of the inputs, as a user has them ready: runs of these are timed without the conversion. */
  typed(batch: Given): Samples {
    const types = new Map(this.inputs.map(({ name, type }) => [name, type]));
    const samples = samplesFor([...types.keys()], batch);
    return new Map([...samples].map(([name, sample]) => [name, castTensor(sample, types.get(name))]));
  }

  /** Runs once with every input given by name, cast to its type; what is no input of the network is left out. */
  async feed(tensors: Samples): Promise<Map<string, Tensor>> {
    const feeds: Record<string, OrtTensor> = {};
    for (const { name, type, shape } of this.inputs) {
      const tensor = tensors.get(name);
      if (tensor === undefined) throw new RangeError(`input ${name} was not given`);
      // Without a number of axes the runtime says that there are none.
      const dims = fedDims(tensor.dims, this.shapes === null ? shape : this.shapes.get(name));
      feeds[name] = new OrtTensor(type as 'float32', castTo(tensor.data, type) as Float32Array, dims);
    }
    let results: InferenceSession.ReturnType;
    try {
      results = await this.session.run(feeds);
    } catch (error) {
      // The processor's session may be opened here.
      if (isOurs(error)) throw error;
      const shapes = [...tensors.values()].map(({ dims }) => `[${dims.join(', ')}]`).join(', ');
      throw runtimeError(error, `the model does not run on an input of shape ${shapes}`, this.misleading);
    }
    return new Map(
      Object.entries(results).map(([name, value]) => {
        const tensor = value;
        return [name, { dims: [...tensor.dims], data: tensor.data as TensorData }];
      }),
    );
  }

  async release(): Promise<void> {
    await this.session.release();
  }
}

/** Also those of our own disk. */
const isOurs = (error: unknown): boolean =>
  error instanceof RangeError || error instanceof SparankError || (error instanceof Error && 'syscall' in error);

/** Of a pooling the places of the largest values as well, which a gradient needs. */
const lackingOnWebgpu = ({ graph }: Model): string[] =>
  graph.node.flatMap((node) => (isOperator(node, 'MaxPool') && node.output.length > 1 ? [node.name] : []));

async function createSession(
  model: Model | string,
  capture: readonly string[],
  settings: SessionOptions,
): Promise<Session> {
  const runtime = await loadRuntime('a network');
  if (typeof model === 'string') {
    if (capture.length > 0) throw new RangeError('only a parsed model can capture inner tensors');
    return openSession(runtime, model, settings);
  }
  const bytes = encodeModel(withOutputs(model, capture).proto);
  if (model.directory === null) return openSession(runtime, bytes, settings);
  // External data is found relative to the model's file.
  const path = join(model.directory, `.${randomUUID()}.onnx`);
  try {
    await writeFile(path, bytes, { mode: 0o600 });
    return await openSession(runtime, path, settings);
  } finally {
    await rm(path, { force: true });
  }
}

/** The same model with inner tensors as additional outputs; the runtime works out their shapes. */
function withOutputs(model: Model, names: readonly string[]): Model {
  const known = new Set(model.graph.output.map(({ name }) => name));
  const added = names.filter((name) => !known.has(name)).map((name) => ({ name }));
  const graph = withFields(model.graph, { output: [...model.graph.output, ...added] });
  return { ...model, graph, proto: withFields(model.proto, { graph }) };
}

function port(metadata: InferenceSession.ValueMetadata): Port {
  if (!metadata.isTensor) throw badModel(`${metadata.name} is not a tensor`);
  return { name: metadata.name, type: metadata.type, shape: [...metadata.shape] };
}
