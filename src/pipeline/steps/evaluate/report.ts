import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Assignment, MeasuredPoint } from '../../../jobs/tasks.js';
import { storable } from '../../../errors/storable.js';
import { VERSION } from '../../../config/version.js';
import { reportPage } from './report-page/page.js';
import { finishedOne } from '../../files/finished.js';

/** Everything that was measured. The first point that was reached stands at the top as well. */
export function reportOf(assignment: Assignment, measured: readonly MeasuredPoint[]) {
  const { model } = finishedOne(assignment, 'inspect').result;
  const [first] = measured;
  if (first === undefined) throw new RangeError('no point was measured');
  const { metrics, verdict, layers } = first;
  return {
    job_id: assignment.jobId,
    version: VERSION,
    labels: assignment.labels,
    spec: assignment.spec,
    model,
    metrics,
    verdict,
    layers,
    points: finishedOne(assignment, 'plan').result.points.map(({ point, target, error }) => {
      const found = measured.find((m) => m.point === point);
      return found === undefined ? { point, target, error } : { target, error, ...found };
    }),
  };
}

export type Report = ReturnType<typeof reportOf>;

/** The report for programs and, as a page without anything from outside, for people. */
export async function writeReport(
  output: string,
  assignment: Assignment,
  measured: readonly MeasuredPoint[],
): Promise<string[]> {
  const report = storable(reportOf(assignment, measured));
  await writeFile(join(output, 'report.json'), `${JSON.stringify(report, null, 2)}\n`);
  const filename = assignment.inputs.model.filename ?? 'model';
  await writeFile(join(output, 'report.html'), reportPage({ report, measured, filename }));
  return ['report.json', 'report.html'];
}

/** What went in and what came out, by content, so that a result can be checked and made again. */
export async function writeManifest(
  output: string,
  names: readonly string[],
  { jobId, spec, inputs }: Assignment,
): Promise<void> {
  const described = await Promise.all(
    names.map(async (name) => ({
      name,
      bytes: (await stat(join(output, name))).size,
      sha256: await sha256(join(output, name)),
    })),
  );
  const source = (input: Assignment['inputs']['model']) => ({
    filename: input.filename,
    bytes: input.bytes,
    sha256: input.sha256,
  });
  const manifest = {
    job_id: jobId,
    version: VERSION,
    seed: spec.method.seed,
    spec,
    inputs: {
      model: source(inputs.model),
      calibration: source(inputs.calibration),
      evaluation: inputs.evaluation === null ? null : source(inputs.evaluation),
    },
    outputs: described,
  };
  await writeFile(join(output, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
}

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
