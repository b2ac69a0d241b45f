import { Type, type Static, type TSchema } from 'typebox';
import { engineNames } from '../engines/index.js';
import { WEIGHT_BITS, type WeightBits } from '../models/coding/weight-code.js';
import { codingOf, FAST_CODING, PLAIN_CODING, SMALL_CODING, weightCodings } from '../models/coding/weight-codings.js';
import { formatOf, modelFormats } from '../models/formats/index.js';
import { LOW_RANK_SHAPES, lowRankShapes } from '../models/low-rank/index.js';
import { PATTERN, PLAIN_PATTERN, SPARSE_PATTERNS } from '../models/sparse/index.js';
import { oneOf } from './one-of.js';
import { targetNames, targetOf, type Target } from './targets.js';

/** What a client asks for. One schema for validation, types, defaults and OpenAPI. */

const object = <T extends Record<string, TSchema>>(properties: T, options = {}) =>
  Type.Object(properties, { additionalProperties: false, ...options });

export const SourceSchema = Type.Union(
  [
    object({ upload: Type.String({ minLength: 1, maxLength: 100, description: 'id of an upload' }) }),
    object({
      url: Type.String({
        maxLength: 2048,
        pattern: '^https?://',
        description: 'https; http only for URL_ALLOWED_HOSTS',
      }),
      sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
    }),
  ],
  { $id: 'Source' },
);

export const TargetSchema = Type.Unsafe<Target>(
  Type.Union(
    targetNames.map((name) => {
      const { minimum, maximum } = targetOf(name);
      return object({ [name]: Type.Number({ minimum, maximum }) });
    }),
    { $id: 'Target' },
  ),
);

/** Points of the trade-off curve that one job may have. */
export const MAX_TARGETS = 8;

export const ConstraintsSchema = object({
  min_parameter_ratio: Type.Optional(Type.Number({ minimum: 1 })),
  min_mac_ratio: Type.Optional(Type.Number({ minimum: 1 })),
  min_speedup: Type.Optional(Type.Number({ minimum: 0 })),
  min_bytes_ratio: Type.Optional(
    Type.Number({ minimum: 0, description: 'size of the file that was sent over that of the one that comes back' }),
  ),
  max_accuracy_drop: Type.Optional(Type.Number({ minimum: -1, maximum: 1 })),
  min_agreement: Type.Optional(
    Type.Number({
      minimum: 0,
      maximum: 1,
      description: 'share of samples with the same top-1 answer; needs an output that holds classes, no labels',
    }),
  ),
  max_relative_error: Type.Optional(
    Type.Number({ minimum: 0, description: 'of the outputs, against those of the original; needs no labels' }),
  ),
});

/** `channel: k x k, 1x1; ...` */
export const shapesInWords = lowRankShapes
  .map((shape) => `${shape}: ${LOW_RANK_SHAPES[shape].convolutions}`)
  .join('; ');

/** `channel: an input channel; ...` */
const patternsInWords = SPARSE_PATTERNS.map((pattern) => `${pattern}: ${PATTERN[pattern].group}`).join('; ');
const withZeros = SPARSE_PATTERNS.filter((pattern) => PATTERN[pattern].storesZeros('Conv'));

const codingsInWords = weightCodings.map((coding) => `${coding}: ${codingOf(coding).meaning}`).join('; ');

export const MethodSchema = object({
  components: Type.Array(Type.Union([Type.Literal('low_rank'), Type.Literal('sparse')]), {
    minItems: 1,
    maxItems: 2,
    uniqueItems: true,
    default: ['low_rank', 'sparse'],
  }),
  pattern: oneOf(SPARSE_PATTERNS, {
    default: PLAIN_PATTERN,
    description: `what the sparse part keeps or drops as a whole. ${patternsInWords}. Stored as dense layers with zeros, not faster and no smaller as parameters, are ${withZeros.join(' and ')}: ask for them with nonzero_ratio`,
  }),
  low_rank_shapes: Type.Array(oneOf(lowRankShapes), {
    minItems: 1,
    uniqueItems: true,
    default: lowRankShapes,
    description: `convolutions that the low-rank part may be made of, chosen for every layer. ${shapesInWords}`,
  }),
  reconstruction: Type.Union([Type.Literal('after_activation'), Type.Literal('linear')], {
    default: 'after_activation',
  }),
  error_metric: Type.Union([Type.Literal('responses'), Type.Literal('outputs')], {
    default: 'responses',
    description:
      'what a layer may lose: responses, every channel counts alike; outputs, errors are weighed by what they do to the outputs of the network, estimated from weights and activations. outputs keeps more accuracy at high ratios of networks without residual branches, and takes more work',
  }),
  inputs: Type.Union([Type.Literal('symmetric'), Type.Literal('asymmetric'), Type.Literal('refit')], {
    default: 'refit',
    description:
      'symmetric: every layer is fitted on the inputs of the original network; refit: the same, then each is solved again in sequence on the inputs of the compressed network, with the structure that was found; asymmetric: structure included',
  }),
  distillation_passes: Type.Union([Type.Integer({ minimum: 0, maximum: 1000 }), Type.Null()], {
    default: null,
    description:
      'after the layers were fitted one by one, all are changed together so that outputs and inner feature maps come nearer to the original network on the calibration data, without labels, in so many passes over it. null: as many as `effort` allows, none where the outputs are near enough already; 0: none',
  }),
  // Jobs from before it have none.
  drop_branches: Type.Optional(
    Type.Boolean({
      default: true,
      description:
        'whether branches of residual blocks may be left out, where what they do to the outputs is less than what else would have to be given up: the network becomes less deep',
    }),
  ),
  weights: object(
    {
      coding: oneOf(weightCodings, { default: PLAIN_CODING }),
      // Jobs from before it have none.
      for_speedup: Type.Optional(
        oneOf([FAST_CODING], {
          description:
            'what a plan for a target of speedup may take instead of `coding`, where it reaches the speed with less change of the outputs (models in ONNX). Filled in where such a target is asked for and `coding` is left out; with a `coding` and without this, that is what the file has',
        }),
      ),
      // Jobs from before it have none.
      for_bytes: Type.Optional(
        oneOf([SMALL_CODING], {
          description:
            'what a plan for a target of bytes_ratio may take instead of `coding`, with as many bits for every layer as lose least (models for TensorFlow.js: uint8). Filled in where such a target is asked for and `coding` is left out; with a `coding` and without this, that is what the file has',
        }),
      ),
      // Jobs from before it have none.
      for_quality: Type.Optional(
        oneOf([FAST_CODING], {
          description:
            'what a network for a target about its outputs (max_accuracy_drop, min_agreement, max_relative_error) may take instead of float32, where it keeps what was asked and the file is smaller: integers where they are faster and int8 weights elsewhere, or else int8 weights alone (models for TensorFlow.js: uint8). Filled in where such a target is asked for and `coding` is left out; where `coding` is not float32, the file has that',
        }),
      ),
      bits: Type.Unsafe<WeightBits>(
        Type.Union(
          WEIGHT_BITS.map((bits) => Type.Literal(bits)),
          {
            default: 4,
            description:
              'of a weight in a codebook. Indices of 8 bits point into tables of 256 entries: 8, numbers; 4, pairs of neighbours; 3, triples (2.67 bits a weight); 2, four neighbours',
          },
        ),
      ),
      integer_layers: Type.Union([Type.Literal('faster'), Type.Literal('all')], {
        default: 'faster',
        description:
          'of static_int8: faster, layers compute with integers where that is faster on the worker, measured at the batch sizes of the benchmark (the first one for a target of speedup), and have int8 weights elsewhere; all, every layer that can, for a device other than the worker',
      }),
    },
    {
      default: { coding: PLAIN_CODING, bits: 4, integer_layers: 'faster' },
      description: `how the file keeps the weights of all layers. ${codingsInWords}. Codings without integer layers are decoded once, when a runtime loads the model: size changes, speed does not`,
    },
  ),
  samples: Type.Integer({ minimum: 64, maximum: 1_000_000, default: 5000 }),
  max_iterations: Type.Integer({ minimum: 0, maximum: 1000, default: 50 }),
  layers: object(
    {
      include: Type.Array(Type.String({ maxLength: 500 }), { maxItems: 10_000, default: [] }),
      exclude: Type.Array(Type.String({ maxLength: 500 }), { maxItems: 10_000, default: [] }),
    },
    { default: { include: [], exclude: [] } },
  ),
  seed: Type.Integer({ minimum: 0, maximum: 4_294_967_295, default: 1 }),
});

/** What networks are timed with. */
export const RUNTIMES = ['onnxruntime', 'tensorflowjs'] as const;

export const BenchmarkSchema = object({
  batch_sizes: Type.Array(Type.Integer({ minimum: 1, maximum: 1024 }), {
    minItems: 1,
    maxItems: 8,
    uniqueItems: true,
    default: [1, 32],
    description:
      'a size whose feature maps would take more than eight times the memory for one layer (2 GiB by default) is measured at the largest that does not',
  }),
  threads: Type.Union([Type.Integer({ minimum: 1, maximum: 256 }), Type.Null()], { default: null }),
  // Optional, as jobs of older versions are without.
  runtime: Type.Optional(
    oneOf(RUNTIMES, {
      default: 'onnxruntime',
      description:
        'what `latency` and `speedup` are measured with, and a target `speedup` is planned for: onnxruntime; tensorflowjs, on the backend of the worker (wasm, or tensorflow where @tensorflow/tfjs-node is installed), for models that are written for it',
    }),
  ),
});

export type RuntimeName = (typeof RUNTIMES)[number];

const formatsInWords = modelFormats.map((format) => `${format}: ${formatOf(format).meaning}`).join('; ');

export const OutputSchema = object({
  format: Type.Union([oneOf(modelFormats), Type.Null()], {
    default: null,
    description: `what the compressed model is written as; null: as the model that was sent. ${formatsInWords}. Names, order and layout of inputs and outputs stay those of the model that was sent`,
  }),
});

export const WebhookSchema = object({
  url: Type.String({ maxLength: 2048, pattern: '^https?://', description: 'https; http only for URL_ALLOWED_HOSTS' }),
});

/** Of a label that workers carry and jobs ask for. */
export const CLASS_PATTERN = '^[a-z0-9][a-z0-9_-]{0,31}$';

export const ResourcesSchema = object({
  engine: Type.Optional(oneOf(engineNames)),
  device_memory_bytes: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 2 ** 50, description: 'at least so much memory of the accelerator' }),
  ),
  class: Type.Optional(Type.String({ pattern: CLASS_PATTERN, description: 'WORKER_CLASS of the workers' })),
});

/** What a network's first output holds. */
export const ANSWERS = ['classes', 'numbers'] as const;

export const EFFORTS = ['quick', 'standard', 'thorough'] as const;
/** A day. */
const MAX_EFFORT_SECONDS = 86_400;

export const PRIORITIES = ['low', 'normal', 'high'] as const;

export const SpecSchema = object(
  {
    model: SourceSchema,
    calibration: SourceSchema,
    evaluation: Type.Optional(Type.Union([SourceSchema, Type.Null()])),
    target: TargetSchema,
    targets: Type.Optional(
      Type.Array(TargetSchema, {
        minItems: 1,
        maxItems: MAX_TARGETS,
        uniqueItems: true,
        description:
          'instead of `target`: one point of the trade-off curve for each, all in one job; `target` is then the first of them',
      }),
    ),
    constraints: Type.Object(ConstraintsSchema.properties, {
      $id: 'Constraints',
      additionalProperties: false,
      default: {},
    }),
    method: Type.Object(MethodSchema.properties, { $id: 'Method', additionalProperties: false, default: {} }),
    // Optional, as jobs of older versions are without.
    output: Type.Optional(
      Type.Object(OutputSchema.properties, { $id: 'Output', additionalProperties: false, default: {} }),
    ),
    // Jobs from before it have none.
    effort: Type.Optional(
      Type.Union([oneOf(EFFORTS), Type.Integer({ minimum: 1, maximum: MAX_EFFORT_SECONDS })], {
        description:
          'how much work the job may take where more of it gives a better network, which is in changing all layers together at the end (distillation). quick: seconds of it, and only where much was lost; standard (the default): what the rest of the job leaves of six minutes, and two minutes at least; thorough: of half an hour, and five at least; each target of several has what it would have alone. A number: of so many seconds, for all targets together. All are counted as work and not timed: seconds are those of two processor cores, on every machine',
      }),
    ),
    // Jobs from before it have none.
    answers: Type.Optional(
      oneOf(ANSWERS, {
        description:
          'what the first output holds: classes, of which the largest is the answer, or other numbers (scores, coordinates, an embedding), which have no agreement. Left out: classes where labels, a softmax or a target say so, else as its values look, with a warning where they leave it open',
      }),
    ),
    benchmark: Type.Object(BenchmarkSchema.properties, { $id: 'Benchmark', additionalProperties: false, default: {} }),
    resources: Type.Optional(
      Type.Object(ResourcesSchema.properties, {
        $id: 'Resources',
        additionalProperties: false,
        description:
          'only workers that have all of this run the job; it waits (`queue.reason` `no_such_worker`) while there is none',
      }),
    ),
    priority: Type.Union([Type.Literal('low'), Type.Literal('normal'), Type.Literal('high')], { default: 'normal' }),
    labels: Type.Record(Type.String({ pattern: '^[A-Za-z0-9_.-]{1,64}$' }), Type.String({ maxLength: 256 }), {
      // Not `false`: filling in defaults stumbles over that in a record.
      additionalProperties: Type.Never(),
      maxProperties: 32,
      default: {},
    }),
    webhook: Type.Optional(
      Type.Union([WebhookSchema, Type.Null()], { description: 'told when the job has ended; see the webhooks' }),
    ),
    deadline_seconds: Type.Union([Type.Integer({ minimum: 1, maximum: 2_592_000 }), Type.Null()], {
      default: null,
      description: 'a job that has not ended so long after it was accepted fails, whether it runs or waits',
    }),
  },
  { $id: 'Spec' },
);

/** As a client sends it: `target` or `targets`. */
export const SpecRequestSchema = object(
  { ...SpecSchema.properties, target: Type.Optional(TargetSchema) },
  { $id: 'SpecRequest' },
);

/** The resolved specification: every default filled in. */
export type Spec = Static<typeof SpecSchema>;
export type Source = Static<typeof SourceSchema>;
export type { Target } from './targets.js';
export type Constraints = Static<typeof ConstraintsSchema>;
export type Method = Static<typeof MethodSchema>;
export type Benchmark = Static<typeof BenchmarkSchema>;
export type Resources = Static<typeof ResourcesSchema>;
/** By name, or in seconds. */
export type Effort = (typeof EFFORTS)[number] | number;
/** Of a specification that names none. */
export const USUAL_EFFORT: Effort = 'standard';
export type Priority = (typeof PRIORITIES)[number];
