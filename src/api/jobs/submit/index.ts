import multipart from '@fastify/multipart';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { JobRecord } from '../../../database/records.js';
import { killPoint } from '../../../fault-injection/kill-point.js';
import { resolveSpec } from '../../../jobs/resolve-spec.js';
import { SpecRequestSchema, SpecSchema, type Spec } from '../../../jobs/spec.js';
import type { RouteDeps, RouteOptions } from '../../deps.js';
import { teamOf } from '../../plugins/auth.js';
import { lazyDirectory } from '../../../storage/scratch.js';
import { bodyIsCheckedByHandler } from '../../validation.js';
import { SPEC_EXAMPLES } from '../../openapi/examples.js';
import { refuseWithoutRoom } from '../../uploads/room.js';
import { viewJob } from '../read.js';
import { JobSchema } from '../schema.js';
import { fileChecker } from './check.js';
import { readMultipart, type Submission } from './multipart.js';
import { hashBody, once, readIdempotencyKey, type Answer } from './once.js';
import { checkWebhook } from './webhook.js';
import { checkIncomplete, fetchesFiles, keepSources, nameParts, openSources, storedLately } from './sources.js';

/** When the first look at a new job is worth it. */
const FIRST_LOOK_SECONDS = 1;

const SUBMIT_ERRORS = [
  ...(['invalid_spec', 'invalid_model', 'invalid_dataset', 'invalid_archive', 'unreachable_target'] as const),
  ...(['limit_exceeded', 'conflict', 'idempotency_in_flight', 'idempotency_mismatch'] as const),
];

const FilePart = Type.String({ format: 'binary' });
const FormSchema = Type.Object({
  spec: SpecRequestSchema,
  model: Type.Optional(FilePart),
  calibration: Type.Optional(FilePart),
  evaluation: Type.Optional(FilePart),
});
const DryRunSchema = Type.Object({
  object: Type.Literal('dry_run'),
  spec: SpecSchema,
  estimate: Type.Unknown({
    description:
      'what the check of the files found: `model`, `layers`, those `blocked` with the reason, and `time` in `device_seconds` of two ' +
      'quiet cores, with its `phases`; null when the service has no check',
  }),
});

export const submitJob: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  await app.register(multipart, {
    limits: { fileSize: deps.config.MAX_UPLOAD_BYTES + 1 },
    // The count of bytes in `receive` says which limit it was.
    throwFileSizeLimit: false,
  });
  const refuseFull = refuseWithoutRoom(deps);
  const stored = storedLately(deps.storage);
  const check = deps.checkSubmission === undefined ? null : fileChecker(deps.checkSubmission);

  app.post(
    '/jobs',
    {
      config: {
        scope: 'jobs:write',
        doc: {
          errors: SUBMIT_ERRORS,
          headers: { 202: ['Location', 'Retry-After', 'Idempotent-Replayed'] },
          examples: SPEC_EXAMPLES,
        },
      },
      validatorCompiler: bodyIsCheckedByHandler,
      schema: {
        operationId: 'createJob',
        tags: ['jobs'],
        summary: 'Submit a job: the specification as JSON, or a form with the specification and the files',
        description:
          'With `Idempotency-Key` the same body is accepted once, and the first answer comes again. `dry_run=true` checks and ' +
          'estimates, and stores nothing.',
        querystring: Type.Object({ dry_run: Type.Boolean({ default: false }) }, { additionalProperties: false }),
        headers: Type.Object({
          'idempotency-key': Type.Optional(
            Type.String({ description: '1 to 255 characters; with the same body the job is made once' }),
          ),
        }),
        body: {
          content: { 'application/json': { schema: SpecRequestSchema }, 'multipart/form-data': { schema: FormSchema } },
        },
        response: { 200: DryRunSchema, 202: JobSchema },
      },
    },
    async (request, reply) => {
      const caller = { teamId: teamOf(request), key: readIdempotencyKey(request) };
      const directory = lazyDirectory(deps.scratch, 'submit-');
      /** Told when the files are gone from the scratch directory. */
      let over: (() => void) | null = null;
      try {
        if (request.isMultipart()) over = deps.incoming.add(caller.teamId);
        const submission: Submission = request.isMultipart()
          ? await readMultipart(deps, caller.teamId, { request, directory }, checkIncomplete)
          : { given: request.body, files: {} };
        const given = nameParts(submission);
        const spec = resolveSpec(given);
        if (fetchesFiles(spec)) over ??= deps.incoming.add(caller.teamId);
        const open = async () => {
          await checkWebhook(deps, caller.teamId, spec);
          const files = await openSources(deps, caller.teamId, { spec, files: submission.files, directory, stored });
          const checked = await check?.(files, spec, directory);
          return { files, estimate: checked?.estimate ?? null };
        };
        if (request.query.dry_run) {
          const { estimate } = await open();
          return await reply.code(200).send({ object: 'dry_run', spec, estimate });
        }
        const make = async (idempotencyToken?: string): Promise<JobRecord> => {
          await refuseFull(caller.teamId);
          const { files } = await open();
          return createJob(deps, request, { teamId: caller.teamId, spec, files, idempotencyToken });
        };
        const { view, replayed } = await answerOnce(deps, request, { ...caller, given }, make);
        if (replayed) reply.header('Idempotent-Replayed', 'true');
        return await reply
          .code(202)
          .header('Location', `/jobs/${view.id}`)
          .header('Retry-After', FIRST_LOOK_SECONDS)
          .send(view);
      } finally {
        await directory.remove().finally(() => over?.());
      }
    },
  );
};

/** Keeps the files, then makes the job that reads them. */
async function createJob(
  deps: RouteDeps,
  request: FastifyRequest,
  {
    teamId,
    spec,
    files,
    idempotencyToken,
  }: {
    teamId: string;
    spec: Spec;
    files: Awaited<ReturnType<typeof openSources>>;
    idempotencyToken: string | undefined;
  },
): Promise<JobRecord> {
  const kept = await keepSources(files, spec);
  const job = await deps.database.jobs.create(teamId, {
    spec: kept.spec,
    inputs: kept.inputs,
    labels: spec.labels,
    traceparent: request.span?.traceparent ?? null,
    priority: spec.priority,
    deadlineSeconds: spec.deadline_seconds,
    ...(idempotencyToken === undefined ? {} : { idempotencyToken }),
  });
  killPoint('job-committed');
  return job;
}

/** The job that `make` makes, or, for a key that was used before with the same body, the first answer again. */
async function answerOnce(
  deps: RouteDeps,
  request: FastifyRequest,
  { teamId, key, given }: { teamId: string; key: string | null; given: unknown },
  make: (idempotencyToken?: string) => Promise<JobRecord>,
): Promise<Answer> {
  const { view, replayed }: Answer =
    key === null
      ? { view: await viewJob(deps.database, await make()), replayed: false }
      : await once(deps, request, { teamId, key, bodyHash: hashBody(given) }, make);
  request.log.info({ job_id: view.id, team_id: teamId, replayed }, 'job accepted');
  const expected = view.queue?.expected_start_seconds ?? null;
  // To be held against when it starts; nobody waits for that.
  if (expected !== null && !replayed)
    deps.database.predictions
      .note(view.id, expected)
      .catch((error: unknown) => request.log.debug({ err: error }, 'a prediction was not noted'));
  return { view, replayed };
}
