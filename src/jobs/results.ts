import { Type, type Static } from 'typebox';
import { lowRankShapes } from '../models/low-rank/index.js';
import { SPARSE_PATTERNS } from '../models/sparse/index.js';
import { oneOf } from './one-of.js';
import { ANSWERS, shapesInWords, TargetSchema } from './spec.js';

/** What a job reports: the ledger of its layers, its metrics, its verdict. Schemas first; types follow. */

const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) => Type.Union([schema, Type.Null()]);
const Quantiles = Type.Object({ p50: Type.Number(), p95: Type.Number() }, { $id: 'Quantiles' });
const BeforeAfter = Type.Object(
  { before: Type.Number(), after: Type.Number(), ratio: Type.Number() },
  { $id: 'BeforeAfter' },
);

const LayerChange = Type.Object(
  {
    before: Type.Number(),
    after: Type.Number(),
    ratio: Type.Unsafe<number | null>({ ...nullable(Type.Number()), description: 'null: nothing is left' }),
  },
  { $id: 'LayerChange' },
);

export const LayerRowSchema = Type.Object(
  {
    index: Type.Integer(),
    name: Type.String({ description: 'of the node, or of the first of several' }),
    nodes: Type.Optional(
      Type.Array(Type.String(), {
        description: 'where several nodes read the same weights: all of them; they are one layer',
      }),
    ),
    op: Type.String(),
    shape: Type.Array(Type.Integer(), { description: 'weights: [m, channels, ...kernel]' }),
    status: Type.Union([
      Type.Literal('waiting'),
      Type.Literal('running'),
      Type.Literal('done'),
      Type.Literal('failed'),
    ]),
    decision: nullable(
      Type.Union([Type.Literal('compressed'), Type.Literal('dense'), Type.Literal('dropped')], {
        description: 'dropped: the residual branch that the layer is in is left out',
      }),
    ),
    reason: nullable(Type.String()),
    low_rank_shape: nullable(
      oneOf(lowRankShapes, { description: `convolutions of the low-rank part. ${shapesInWords}` }),
    ),
    rank: nullable(Type.Integer({ description: 'channels in front of the last convolution of the low-rank part' })),
    inner_rank: nullable(
      Type.Integer({ description: 'channels behind the first convolution, where the shape has two widths' }),
    ),
    pattern: Type.Optional(
      nullable(
        Type.String({
          description: `what a group of the sparse part is: ${SPARSE_PATTERNS.join(', ')}`,
        }),
      ),
    ),
    groups: nullable(Type.Integer({ description: 'kept groups of the sparse part' })),
    groups_total: nullable(Type.Integer()),
    weight_bits: Type.Optional(
      Type.Integer({ description: 'of a weight in the codebook of the file, where the plan chose it for the layer' }),
    ),
    parameters: LayerChange,
    nonzeros: Type.Optional(
      Type.Object(LayerChange.properties, {
        description: 'of the parameters, all but the zeros that the pattern makes and the file holds',
      }),
    ),
    macs: LayerChange,
    relative_error: nullable(
      Type.Number({
        description:
          'squared, of the response after the activation, on the calibration samples, before any distillation',
      }),
    ),
    relative_error_linear: nullable(
      Type.Number({
        description: 'the same for the linear fit the solve started from, on the inputs of the original network',
      }),
    ),
    iterations: nullable(Type.Integer()),
    primal_residual: nullable(Type.Number()),
    dual_residual: nullable(Type.Number()),
    note: nullable(Type.String({ description: 'how the activation step was solved' })),
    latency_ms: nullable(Type.Object({ before: Type.Number(), after: Type.Number() })),
    worker_id: nullable(Type.String()),
    attempt: nullable(Type.Integer()),
    seconds: nullable(Type.Number()),
  },
  { $id: 'LayerRow' },
);

export const CheckSchema = Type.Object(
  {
    name: Type.String(),
    required: Type.Number(),
    measured: nullable(Type.Number()),
    passed: Type.Boolean(),
  },
  { $id: 'Check' },
);

/** What a warning may be about, and when it is given. */
const WARNINGS = {
  outputs_moved:
    'fewer than 90 % of the answers agree and the relative error is above 0.02, or, of outputs without classes, the relative error is above 0.25',
  few_calibration_samples:
    'outputs moved, and at most half as far on the calibration samples as on others: those are too few, or unlike the others',
  few_samples: 'fewer than 50 were measured',
  layers_in_branches: 'layers in the branches of an If, or the body of a Loop or Scan, stay as they are',
  answers_assumed:
    'whether the first output holds classes or other numbers is not known: agreement is reported for classes, and not for numbers',
  measured_on_fitted: 'too few to hold out any',
  near_edge: 'what was asked for lies within the uncertainty of what was measured',
  coding_left_out: 'no network with coded weights is as good as was asked: they are float32',
  slower: 'at a batch size the network is slower than the original, its whole 95 % interval',
  larger_file: 'the file is larger than the one that was sent',
  not_in_tensorflowjs: 'TensorFlow.js did not run the network on the backend of the worker',
  target_out_of_reach: 'the target cannot be reached; what came nearest is returned',
} as const;
const WARNING_CODES = Object.keys(WARNINGS) as (keyof typeof WARNINGS)[];

export const WarningSchema = Type.Object(
  {
    code: oneOf(WARNING_CODES, {
      description: WARNING_CODES.map((code) => `${code}: ${WARNINGS[code]}`).join('; '),
    }),
    cause: Type.String(),
    next: Type.String({ description: 'what can be done' }),
  },
  { $id: 'Warning' },
);

export const VerdictSchema = Type.Object(
  {
    passed: Type.Boolean(),
    checks: Type.Array(CheckSchema),
    warnings: Type.Optional(
      Type.Array(WarningSchema, { description: 'what to know besides, also where everything is passed' }),
    ),
  },
  { $id: 'Verdict' },
);

const LatencySchema = Type.Array(
  Type.Object(
    {
      batch: Type.Integer(),
      before_ms: Quantiles,
      after_ms: Quantiles,
      speedup: Type.Number(),
      speedup_ci95: Type.Array(Type.Number(), { minItems: 2, maxItems: 2 }),
      runs: Type.Integer(),
    },
    { $id: 'Latency' },
  ),
);
const AccuracySchema = nullable(
  Type.Object(
    { before: Type.Number(), after: Type.Number(), drop: Type.Number(), samples: Type.Integer() },
    { $id: 'Accuracy' },
  ),
);
const interval = (description: string) =>
  Type.Optional(Type.Array(Type.Number(), { minItems: 2, maxItems: 2, description }));
const AnswersSchema = Type.Object(
  {
    are: oneOf(ANSWERS),
    known_by: oneOf(['asked', 'labels', 'graph', 'values', 'assumed'] as const, {
      description:
        'asked: the specification says it; labels: the data has classes; graph: it comes from a softmax, or another output does; values: as they are on the samples; assumed: they leave it open',
    }),
  },
  {
    $id: 'Answers',
    description:
      'what the first output was taken for: classes, of which the largest is the answer, or other numbers, which have no agreement. Left out where its last axis can hold neither',
  },
);
const FidelitySchema = Type.Object(
  {
    answers: Type.Optional(AnswersSchema),
    top1_agreement: nullable(Type.Number()),
    top1_agreement_ci95: interval('where that of very many samples of the same kind lies, in 95 of 100 cases'),
    relative_error: Type.Number(),
    relative_error_ci95: interval(
      'where that of very many samples of the same kind lies, in 95 of 100 cases; left out where a single sample was measured',
    ),
    samples: Type.Integer(),
  },
  { $id: 'Fidelity' },
);

const DistillationSchema = Type.Object(
  {
    passes: Type.Integer({ description: 'over the samples' }),
    samples: Type.Integer({ description: 'calibration samples that the weights were changed on' }),
    held_out: Type.Integer({ description: 'calibration samples that decide whether the result is kept' }),
    relative_error_before: Type.Number({
      description:
        'of the outputs, or of what goes into a softmax where they come from one, on the held-out samples; mirrored and shifted where those are among the variations, because the layers were fitted on them as they are',
    }),
    relative_error_after: Type.Number(),
    kept: Type.Boolean(),
    variations: Type.Optional(
      Type.Array(Type.Union([Type.Literal('mirrored'), Type.Literal('shifted'), Type.Literal('mixed')]), {
        description: 'how the samples were varied at random in every pass',
      }),
    ),
  },
  {
    $id: 'Distillation',
    description: 'where all layers were changed together at the end, see `method.distillation_passes`',
  },
);

const WhyNotDistilledSchema = Type.Union(
  [Type.Literal('near'), Type.Literal('few_samples'), Type.Literal('beyond_effort'), Type.Literal('operators')],
  {
    description:
      'why layers were not changed together at the end (`distillation` is absent). near: the outputs are as near to those of the original as the effort cares for; few_samples: fewer than 64 calibration samples; beyond_effort: a gain takes more work than the effort leaves, so more of it would help; operators: the network has some that cannot be differentiated',
  },
);

const MeasuredOnSchema = Type.Object(
  {
    data: Type.Union([Type.Literal('evaluation'), Type.Literal('held_out'), Type.Literal('calibration')]),
    samples: Type.Integer(),
  },
  {
    description:
      'what accuracy, agreement and error were measured on. evaluation: the evaluation data; held_out: calibration samples that nothing was fitted to; calibration: the samples that layers were fitted on, too few to hold out any: new data fares worse',
  },
);

export const MetricsSchema = Type.Object(
  {
    parameters: BeforeAfter,
    nonzeros: Type.Optional(
      Type.Object(BeforeAfter.properties, {
        description: 'of the parameters, all but the zeros that the pattern makes',
      }),
    ),
    macs: BeforeAfter,
    bytes: BeforeAfter,
    latency: LatencySchema,
    speedup: Type.Number(),
    accuracy: AccuracySchema,
    fidelity: FidelitySchema,
    measured_on: Type.Optional(MeasuredOnSchema),
    unseen: Type.Optional(
      Type.Object(
        { accuracy: AccuracySchema, fidelity: FidelitySchema },
        {
          description:
            'where the most compressed network was searched that keeps accuracy, agreement or error: the same on the samples that the search did not see (half of the evaluation data, or the calibration samples that were held out). The target has to hold on them, too',
        },
      ),
    ),
    coding: Type.Optional(
      Type.Object(
        {
          coding: Type.String(),
          bytes: BeforeAfter,
          integer_layers: Type.Optional(
            Type.Object(
              { integer: Type.Integer(), all: Type.Integer() },
              { description: 'with static_int8: layers of the file that compute with 8-bit integers, of all it has' },
            ),
          ),
          distillation: Type.Optional(
            Type.Object(DistillationSchema.properties, {
              description:
                'with a codebook: where tables, scales and the choice of entries were changed together, with the rounding in the loop',
            }),
          ),
          uncoded: Type.Object({
            bytes: BeforeAfter,
            latency: LatencySchema,
            speedup: Type.Number(),
            accuracy: AccuracySchema,
            fidelity: FidelitySchema,
          }),
        },
        {
          description:
            'where the weights are coded, as `method.weights` says or leaves open. bytes: the compressed model before and after coding; uncoded: what was measured, beside the others, of the compressed model with float32 weights, against the original',
        },
      ),
    ),
    distillation: Type.Optional(DistillationSchema),
    not_distilled: Type.Optional(WhyNotDistilledSchema),
    tensorflowjs: Type.Optional(
      Type.Object(
        {
          backend: Type.String({ description: 'wasm, on one thread; tensorflow: the native one' }),
          version: Type.String(),
          latency: LatencySchema,
          speedup: Type.Number(),
          accuracy: AccuracySchema,
          fidelity: FidelitySchema,
        },
        {
          description:
            'of models that are written for TensorFlow.js: what was measured in TensorFlow.js itself, of the files, on some of the samples. `latency`, `speedup` and `device` beside it are of `benchmark.runtime`, the other numbers of ONNX Runtime',
        },
      ),
    ),
    device: Type.Object({ engine: Type.String(), name: Type.String(), threads: Type.Integer() }),
    seconds: Type.Object({ queued: Type.Number(), running: Type.Number(), device: Type.Number() }),
    memory: Type.Optional(
      Type.Object({
        peak_bytes: Type.Integer({ description: 'the most that the compute process held, in any step' }),
        limit_bytes: Type.Integer({ description: 'LAYER_MEMORY_MB of the worker that measured' }),
      }),
    ),
  },
  { $id: 'Metrics' },
);

export const TaskErrorSchema = Type.Object(
  {
    code: Type.String(),
    detail: Type.String(),
    origin: Type.Union([Type.Literal('input'), Type.Literal('infrastructure'), Type.Literal('bug')], {
      description: 'whose fault it is: of what was sent, of the machines of the service, or of its code',
    }),
    layer: nullable(Type.String()),
  },
  { $id: 'TaskError' },
);

/** One point of the trade-off curve. */
export const PointSchema = Type.Object(
  {
    point: Type.Integer({ description: 'the number of the target, from 1' }),
    target: TargetSchema,
    model: nullable(Type.String({ description: 'name of the artifact, once it is there' })),
    metrics: nullable(MetricsSchema),
    verdict: nullable(VerdictSchema),
    error: nullable(TaskErrorSchema),
  },
  { $id: 'Point' },
);

export type Point = Static<typeof PointSchema>;
export type LayerRow = Static<typeof LayerRowSchema>;
export type Check = Static<typeof CheckSchema>;
export type Verdict = Static<typeof VerdictSchema>;
export type Warning = Static<typeof WarningSchema>;
export type MeasuredOn = Static<typeof MeasuredOnSchema>;
export type Answers = Static<typeof AnswersSchema>;
export type Distillation = Static<typeof DistillationSchema>;
export type WhyNotDistilled = Static<typeof WhyNotDistilledSchema>;
export type Metrics = Static<typeof MetricsSchema>;
