import {
  extract,
  Runner,
  throughLinearMap,
  usesOf,
  type FloatTensor,
  type Layer,
  type Model,
  type Tensor,
} from '../../models/index.js';
import { OutputError } from '../network/compare/output-error.js';
import {
  mapOf,
  pointsOf,
  readAll,
  type ProbedNetwork,
  type ResponseBasis,
  type SensitivityPoint,
} from './sensitivity.js';

/** A changed version of a layer: the network with it. */
export interface SharedVariant {
  /** Rank, or width of the first convolution. */
  rank: number;
  layerError: number;
  model: Model;
}

interface SharedOptions {
  basis: ResponseBasis;
  probes: readonly { rank: number; layerError: number }[];
  variants: readonly SharedVariant[];
  /** Tensors that depend on no use of the layer. */
  before: ReadonlySet<string>;
  /** One batch of such a tensor, of the network's input, or of its original outputs. */
  read: (name: string, batch: number) => Promise<Tensor>;
}

interface Probed {
  runner: Runner;
  /** What it reads of the network. */
  inputs: readonly string[];
  /** What it is fed with besides. */
  map: ReadonlyMap<string, FloatTensor>;
  error: OutputError;
}

/**
 * What an error of a layer whose weights several nodes share does to the network's outputs: all its uses are changed at
 * once. A use may see what another one has made, so that the network is run from the first use on. Has to be released.
 */
export class SharedProbe {
  private constructor(
    private readonly probed: readonly Probed[],
    private readonly outputs: readonly string[],
    private readonly options: SharedOptions,
    private readonly runners: readonly Runner[],
  ) {}

  static async open(network: ProbedNetwork, layer: Layer, options: SharedOptions): Promise<SharedProbe> {
    const { basis, probes, variants, before } = options;
    const to = network.outputs.filter((name) => !before.has(name));
    const axes = layer.op === 'Conv' ? layer.kernel.length : 0;
    const responses = usesOf(layer).map(({ output }) => output);
    const through = throughLinearMap(network.prepared, responses, { axes, beside: before, to });
    const runners: Runner[] = [];
    const open = async (model: Model) => {
      const runner = await Runner.open(model, { threads: network.threads, device: network.device });
      runners.push(runner);
      return runner;
    };
    const error = () => new OutputError(network.parts, network.outputs);
    const probed: Probed[] = [];
    if (probes.length > 0) {
      const runner = await open(through.model);
      for (const { rank } of probes)
        probed.push({ runner, inputs: through.beside, map: mapOf(through, basis, rank, axes), error: error() });
    }
    for (const variant of variants) {
      const part = extract(variant.model, before, to);
      probed.push({ runner: await open(part.model), inputs: part.inputs, map: new Map(), error: error() });
    }
    return new SharedProbe(probed, to, options, runners);
  }

  /** Compares the network's outputs with the original's, for one batch. */
  async add(batch: number, signal: AbortSignal): Promise<void> {
    const read = (name: string) => this.options.read(name, batch);
    const given = await readAll(new Set(this.probed.flatMap(({ inputs }) => inputs)), read);
    const originals = await readAll(this.outputs, read);
    for (const { runner, map, error } of this.probed) {
      signal.throwIfAborted();
      error.addAll(originals, await runner.feed(new Map([...given, ...map])));
    }
  }

  /** First of the probes, then of the variants. */
  points(): SensitivityPoint[] {
    const errors = this.probed.map(({ error }) => error);
    return pointsOf([...this.options.probes, ...this.options.variants], errors);
  }

  async release(): Promise<void> {
    for (const runner of this.runners) await runner.release();
  }
}
