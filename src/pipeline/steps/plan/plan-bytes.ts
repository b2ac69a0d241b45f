import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  allocateThrifty,
  costOfChoice,
  leastCost,
  type AllocationLayer,
  type Candidate,
} from '../../../compression/index.js';
import { writtenFormat } from '../../../jobs/points.js';
import type { Assignment } from '../../../jobs/tasks.js';
import {
  codedBytes,
  codeWeights,
  CODING_NOISE,
  codingOf,
  formatOf,
  inFormat,
  isDense,
  placeholderIntegers,
  saveModel,
  SMALL_CODING_ELSEWHERE,
  WEIGHT_BITS,
  weightTensors,
  type Layer,
  type LayerSize,
  type ModelFormatName,
  type WeightBits,
  type WeightCodingName,
} from '../../../models/index.js';
import { outputErrorOf } from '../../curves/sensitivity.js';
import { smallest } from '../../files/smallest.js';
import { plannedBits } from '../../files/weight-bits.js';
import { openNetwork, type Network } from '../../network/network.js';
import { seededRandom } from '../../network/random.js';
import type { StepContext } from '../../step.js';
import { effectOf, networkOf } from './never-slower.js';
import { outOfReach, usefulBudget } from './out-of-reach.js';
import type { Chosen, NetworkPlan } from './plan-points.js';
import { biasOfRefit, fasterForms } from './tables.js';
import { allowedForSize } from './thrift.js';

/**
 * Of what coding weights does to the outputs, what is left when tables, scales and weights are changed together behind it, beside what
 * is left of a limited rank. ResNet-20 at 16x and VGG-16 at 100x have nearly the same error with 0.1 (0.324, 0.0456) and 0.3 (0.327,
 * 0.0472). Where there are too few samples for that, super-resolution (SRVGG) at 8x comes to 0.062 with it, and to 0.076 with 1.
 */
const LEFT_OF_CODING = 0.15;
/** Of the file, what is kept free: numbers that a half cannot hold take more. */
const SPARE = 0.002;
/** Plans that are written to see how large their files are. */
const ROUNDS = 8;
/** Budgets that differ by so much of the file are one. */
const FINE = 0.005;
/** A file that uses so much of what it may is not planned again. */
const WELL_USED = 0.985;

/** A plan, and how many bits the weights of every layer have. */
interface Sized {
  choice: number[];
  bits: (WeightBits | null)[];
  /** As counted. */
  bytes: number;
  /** On the outputs, as expected. */
  effect: number;
}

/**
 * Distributes the bytes of a file over the layers: their ranks and widths, and, where the plan may choose, how many bits their
 * weights have. What both lose adds up. Bytes are counted, and what the file has beside weights is found by writing it, with any
 * values: only sizes count.
 */
export async function planBytes(
  assignment: Assignment,
  context: StepContext,
  { curves, tables, asked }: NetworkPlan,
): Promise<Chosen> {
  const { spec, inputs } = assignment;
  const network = await openNetwork(context, assignment);
  try {
    const format = writtenFormat(spec, network.original.format);
    const coding = codingFor(spec.method.weights, format);
    const expanded = curves.layers.map(({ layer, sensitivity }, i) => {
      const { candidates, ...rest } = tables[i] ?? { candidates: [] };
      const ways = candidates.flatMap((candidate, at) =>
        (candidate.dropped === true ? [null] : waysOf(coding, spec.method.weights)).map((bits) => ({
          ...withBytes(layer, candidate, coding.name, bits),
          error: candidate.error + LEFT_OF_CODING * outputErrorOf(sensitivity, noiseOf(layer, candidate, bits)),
          way: { at, bits },
        })),
      );
      return { ...rest, weight: 1, candidates: ways };
    });
    const faster = expanded.map(fasterForms);
    const [least, leastOfFaster] = [leastCost(expanded, 'bytes'), leastCost(faster, 'bytes')];
    const limit = Math.floor((inputs.model.bytes / asked) * (1 - SPARE));
    const sizeOf = (plan: Sized) => fileBytes(network, { assignment, context, curves, tables, coding }, plan);
    const lowest = allocated(expanded, least);
    // Of the file, what no layer has.
    let beside = (await sizeOf(lowest)) - lowest.bytes;
    let best: Sized | null = null;
    // Of budgets, the largest whose file was small enough, and the smallest whose was not.
    let [fits, exceeds] = [least, Infinity];
    for (let round = 0; round < ROUNDS && exceeds - fits > FINE * limit; round++) {
      context.signal.throwIfAborted();
      const corrected = limit - beside;
      const budget = corrected > fits && corrected < exceeds ? corrected : (fits + exceeds) / 2;
      if (!(budget >= fits && budget < Infinity)) break;
      const plan = allocated(leastOfFaster <= budget ? faster : expanded, budget);
      const bytes = await sizeOf(plan);
      context.progress((round + 1) / ROUNDS);
      if (bytes > limit) exceeds = budget;
      else {
        fits = budget;
        if (best === null || plan.bytes > best.bytes) best = plan;
        if (bytes >= WELL_USED * limit) break;
      }
      beside = bytes - plan.bytes;
    }
    const dense = expanded.reduce(
      (sum, { candidates }) => sum + Math.max(...candidates.map(({ bytes = 0 }) => bytes)),
      0,
    );
    const useful =
      best === null ? usefulBudget({ least, dense }, (budget) => allocated(expanded, budget).effect) : least;
    const { choice, bits } = best ?? (useful > least ? allocated(expanded, useful) : lowest);
    const most = inputs.model.bytes / (least + beside);
    const cause = `bytes_ratio ${String(asked)} cannot be reached: with every layer at its smallest it is ${most.toFixed(2)}; ${String(Math.round(beside))} bytes of the file are in no layer that can be compressed`;
    return {
      choice,
      ...(coding.name === spec.method.weights.coding ? {} : { coding: coding.name }),
      ...(coding.chooses ? { bits: bitsByLayer(curves, bits) } : {}),
      ...(best === null ? { warnings: [outOfReach(cause, spec, useful > least)] } : {}),
    };
  } finally {
    await network.close();
  }
}

interface FileCoding {
  name: WeightCodingName;
  /** Whether the plan chooses bits for every layer. */
  chooses: boolean;
}

function codingFor(
  { coding, for_bytes: other }: Assignment['spec']['method']['weights'],
  format: ModelFormatName,
): FileCoding {
  if (other === undefined) return { name: coding, chooses: false };
  const { codings } = formatOf(format);
  return codings === undefined || codings.includes(other)
    ? { name: other, chooses: true }
    : { name: SMALL_CODING_ELSEWHERE, chooses: false };
}

/** Null: as the coding has it. */
const waysOf = (coding: FileCoding, { bits }: { bits: WeightBits }): (WeightBits | null)[] => {
  if (coding.chooses) return [...WEIGHT_BITS];
  return [coding.name === 'codebook' ? bits : null];
};

type SizedTable = AllocationLayer & { candidates: (Candidate & { way: { at: number; bits: WeightBits | null } })[] };

function allocated(tables: readonly SizedTable[], budget: number): Sized {
  const places = allocateThrifty(tables, { cost: 'bytes', budget }, 'work', allowedForSize);
  const chosen = places.map((place, i) => tables[i]?.candidates[place]);
  return {
    choice: chosen.map((candidate) => candidate?.way.at ?? 0),
    bits: chosen.map((candidate) => candidate?.way.bits ?? null),
    bytes: costOfChoice(tables, places, 'bytes'),
    effect: effectOf(tables, places),
  };
}

const bitsByLayer = (
  { layers }: NetworkPlan['curves'],
  bits: readonly (WeightBits | null)[],
): Record<number, WeightBits> =>
  Object.fromEntries(layers.flatMap(({ index }, i) => (bits[i] == null ? [] : [[index, bits[i]]])));

/** What coding the weights alone does to the response, squared and relative: every convolution of a chain adds its own. */
const noiseOf = (layer: Layer, size: LayerSize, bits: WeightBits | null): number =>
  bits === null ? 0 : weightTensors(layer, size).length * CODING_NOISE[bits];

/** @param bits of a codebook, else null */
function withBytes(layer: Layer, candidate: Candidate, coding: WeightCodingName, bits: WeightBits | null): Candidate {
  if (candidate.dropped === true) return { ...candidate, bytes: 0 };
  const bytesOf = (of: Layer): number =>
    weightTensors(of, candidate).reduce((sum, tensor) => sum + tensorBytes(tensor, coding, bits), 0) +
    4 * (isDense(candidate) ? biasOfRefit(of) + (of.hasBias ? of.m : 0) : of.m * (of.biases ?? 1));
  const bytes = bytesOf(layer);
  const { outputs } = candidate;
  const few = bytesOf({ ...layer, m: 0 });
  return { ...candidate, bytes, ...(outputs === undefined ? {} : { outputs: { ...outputs, bytes: bytes - few } }) };
}

function tensorBytes(
  tensor: { rows: number; count: number },
  coding: WeightCodingName,
  bits: WeightBits | null,
): number {
  if (bits !== null) return codedBytes(tensor, bits);
  const { coder } = codingOf(coding);
  if (coder === null) return 4 * tensor.count;
  return coder === 'float16' ? 2 * tensor.count : tensor.count + 4 * tensor.rows;
}

/** Of a file with factors of these sizes. */
async function fileBytes(
  network: Network,
  {
    assignment,
    context,
    coding,
    ...plan
  }: Pick<NetworkPlan, 'curves' | 'tables'> & {
    assignment: Assignment;
    context: StepContext;
    coding: FileCoding;
  },
  { choice, bits }: Sized,
): Promise<number> {
  const { spec } = assignment;
  const { coder, integers } = codingOf(coding.name);
  const whole = networkOf(network.prepared, { ...plan, choice });
  const sized = integers ? placeholderIntegers(whole) : whole;
  const random = (table: number) => seededRandom(spec.method.seed, table);
  const way = coding.chooses
    ? plannedBits(sized, network.layers, bitsByLayer(plan.curves, bits))
    : { bits: spec.method.weights.bits };
  const coded = coder === null ? sized : codeWeights(sized, { ...way, coding: coder }, { energies: new Map(), random });
  const path = join(context.directory, 'sized');
  await saveModel(inFormat(smallest(coded, network.original), writtenFormat(spec, network.original.format)), path);
  const { size } = await stat(path);
  // Biases that only the refit makes.
  return (
    size +
    plan.curves.layers.reduce((sum, { layer }, i) => {
      const chosen = plan.tables[i]?.candidates[choice[i] ?? 0];
      return sum + (chosen !== undefined && isDense(chosen) ? 4 * biasOfRefit(layer) : 0);
    }, 0)
  );
}
