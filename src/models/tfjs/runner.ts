import type * as Core from '@tensorflow/tfjs-core';
import type { GraphModel } from '@tensorflow/tfjs-converter';
import type { LayersModel } from '@tensorflow/tfjs-layers';
import { Archive } from '../../datasets/archive.js';
import type { Samples } from '../../datasets/samples.js';
import type { Tensor } from '../../datasets/tensor.js';
import { loadTensorflow, type Tensorflow } from '../../runtime/tensorflow.js';
import { inputNames, type Model } from '../ir/model.js';
import type { LoadOptions } from '../format-files.js';
import { fedDims, portsOf, wholeInputs } from '../run/feeds.js';
import { castTensor, castTo } from '../run/tensor-ops.js';
import { at, list } from './io/json.js';
import { readShards } from './io/read.js';

/** A model loaded in TensorFlow.js, as its users load it. Has to be released. */
export class TensorflowRunner {
  private constructor(
    private readonly tensorflow: Tensorflow,
    private readonly loaded: { model: GraphModel | LayersModel; predict: (inputs: Core.Tensor[]) => Core.Tensor[] },
    private readonly names: { inputs: string[]; outputs: string[] },
    private readonly ports: ReturnType<typeof portsOf>,
  ) {}

  /** @throws {OwnFaultError} where TensorFlow.js is not there */
  static async runtime(): Promise<Pick<Tensorflow, 'backend' | 'version'>> {
    return loadTensorflow();
  }

  /** The batch size that the model is fixed to, or null. */
  get fixedBatch(): number | null {
    if (wholeInputs(this.ports).size > 0) return 1;
    const batch = this.loaded.model.inputs[0]?.shape?.[0] ?? -1;
    return batch > 0 ? batch : null;
  }

  /**
   * @param path of the zip that `model` was read from
   * @throws {OwnFaultError} where TensorFlow.js is not there
   */
  static async open(model: Model, path: string, options: LoadOptions): Promise<TensorflowRunner> {
    const tensorflow = await loadTensorflow();
    const archive = await Archive.open(path, { ...options.limits, maxBytes: options.limits.maxModelBytes });
    try {
      const { json, bytes } = await readShards(archive, options);
      const parsed = json as unknown as Core.io.ModelJSON;
      const handler = tensorflow.core.io.fromMemory({
        ...parsed,
        weightSpecs: parsed.weightsManifest.flatMap(({ weights }) => weights),
        weightData: Uint8Array.from(bytes).buffer,
      });
      const graph = list(at(at(json, 'modelTopology'), 'node')) !== null;
      const names = { inputs: inputNames(model), outputs: model.graph.output.map(({ name }) => name) };
      const loaded = graph
        ? ofGraph(await tensorflow.loadGraphModel(handler))
        : ofLayers(await tensorflow.loadLayersModel(handler));
      return new TensorflowRunner(tensorflow, loaded, names, portsOf(model));
    } finally {
      archive.close();
    }
  }

  /** Samples in the types of the inputs: runs of these are timed without the conversion. */
  typed(samples: Samples): Samples {
    const types = new Map(this.names.inputs.map((name, i) => [name, this.typeOf(i)]));
    return new Map([...samples].map(([name, sample]) => [name, castTensor(sample, types.get(name))]));
  }

  private typeOf(input: number): 'int32' | 'float32' {
    return this.loaded.model.inputs[input]?.dtype === 'int32' ? 'int32' : 'float32';
  }

  /** One batch; outputs by name. */
  async run(samples: Samples): Promise<Map<string, Tensor>> {
    const { core } = this.tensorflow;
    const shapes = new Map(this.ports.map(({ name, shape }) => [name, shape]));
    const inputs = this.names.inputs.map((name, i) => {
      const sample = samples.get(name);
      if (sample === undefined) throw new RangeError(`input ${name} was not given`);
      const type = this.typeOf(i);
      return core.tensor(castTo(sample.data, type) as Float32Array, fedDims(sample.dims, shapes.get(name)), type);
    });
    const outputs = core.tidy(() => this.loaded.predict(inputs));
    core.dispose(inputs);
    try {
      const named = outputs.map(async (tensor, i): Promise<[string, Tensor]> => {
        const data = (await tensor.data()) as Float32Array;
        return [this.names.outputs[i] ?? String(i), { dims: [...tensor.shape], data }];
      });
      return new Map(await Promise.all(named));
    } finally {
      core.dispose(outputs);
    }
  }

  release(): Promise<void> {
    this.loaded.model.dispose();
    return Promise.resolve();
  }
}

const ofLayers = (model: LayersModel) => ({
  model,
  predict: (inputs: Core.Tensor[]): Core.Tensor[] => [model.predictOnBatch(inputs)].flat(),
});

function ofGraph(model: GraphModel) {
  // Its own names: those of tensors with the number of an output are read as it reads them.
  const predict = (inputs: Core.Tensor[]): Core.Tensor[] => {
    const names = model.inputNodes.map((name) => name.replace(/:\d+$/, ''));
    const byName = Object.fromEntries(names.flatMap((name, i) => inputs.slice(i, i + 1).map((x) => [name, x])));
    return [model.execute(byName, model.outputNodes)].flat();
  };
  return { model, predict };
}
