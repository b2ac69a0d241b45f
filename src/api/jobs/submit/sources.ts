import { LRUCache } from 'lru-cache';
import { InputError } from '../../../errors/index.js';
import { isNamed, type JobInputs, type UploadRecord } from '../../../database/records.js';
import { resolveSpec } from '../../../jobs/resolve-spec.js';
import type { Source, Spec } from '../../../jobs/spec.js';
import { isStored } from '../../../storage/is-stored.js';
import type { LazyDirectory } from '../../../storage/scratch.js';
import type { RouteDeps } from '../../deps.js';
import type { Submission } from './multipart.js';
import { fetchSource } from './fetch-source.js';
import { PARTS, storedFile, type Part, type SourceFile } from './source-file.js';

export interface JobFiles {
  model: SourceFile;
  calibration: SourceFile;
  evaluation: SourceFile | null;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** @throws InputError when the specification names a source for `part` as well */
export function refuseSecondSource(given: unknown, part: Part): void {
  if (!isObject(given) || given[part] === undefined || given[part] === null) return;
  const detail = 'is also a part of the form; give one of the two';
  throw new InputError('invalid_spec', `/${part} ${detail}`, { faults: [{ pointer: `/${part}`, detail }] });
}

/** A file that came along stands in the specification as the upload it will be, by its hash. */
export function nameParts({ given, files }: Submission): unknown {
  if (!isObject(given)) return given;
  const spec: Record<string, unknown> = { ...given };
  for (const part of PARTS) {
    const file = files[part];
    if (file === undefined) continue;
    refuseSecondSource(given, part);
    spec[part] = { upload: `sha256:${file.sha256}` };
  }
  return spec;
}

/** Stands for a file that may still come. */
const AWAITED: Source = { upload: `sha256:${'0'.repeat(64)}` };

/** @throws InputError what no later part can mend */
export function checkIncomplete(submission: Submission): void {
  const given = nameParts(submission);
  if (!isObject(given)) resolveSpec(given);
  else resolveSpec({ ...given, model: given['model'] ?? AWAITED, calibration: given['calibration'] ?? AWAITED });
}

export const fetchesFiles = (spec: Spec): boolean =>
  PARTS.some((part) => {
    const source = spec[part];
    return source !== undefined && source !== null && 'url' in source;
  });

/** Submissions name the same few files again and again; what is lost meanwhile, the job finds out itself. */
const STORED_MS = 1_000;
const STORED = 1_000;

export type StoredLately = (upload: UploadRecord) => Promise<boolean>;

/** Tells whether a file is in the storage, or was a moment ago. */
export function storedLately(storage: RouteDeps['storage']): StoredLately {
  const stored = new LRUCache<string, true>({ max: STORED, ttl: STORED_MS, ttlResolution: 0 });
  return async (upload) => {
    if (stored.has(upload.key)) return true;
    const found = await isStored(storage, upload);
    if (found) stored.set(upload.key, true);
    return found;
  };
}

/** The files of a resolved specification. */
export async function openSources(
  deps: RouteDeps,
  teamId: string,
  {
    spec,
    files,
    directory,
    stored,
  }: { spec: Spec; files: Submission['files']; directory: LazyDirectory; stored: StoredLately },
): Promise<JobFiles> {
  const sources = PARTS.flatMap((part) => {
    const source = spec[part];
    return source === undefined || source === null || files[part] !== undefined ? [] : [{ part, source }];
  });
  const names = sources.flatMap(({ source }) => ('upload' in source ? [source.upload] : []));
  const uploads = names.length === 0 ? [] : await deps.database.uploads.find(teamId, names);
  const open = async ({ part, source }: { part: Part; source: Source }): Promise<[Part, SourceFile]> => {
    if (!('upload' in source)) return [part, await fetchSource(deps, teamId, { part, source, directory })];
    const upload = uploads.find((one) => isNamed(source.upload, one));
    if (upload !== undefined && (await stored(upload))) return [part, storedFile(deps, upload)];
    const detail =
      upload === undefined
        ? `there is no upload ${source.upload}`
        : `the content of ${source.upload} was lost; send the file again, then submit the same job`;
    throw new InputError('invalid_spec', detail, { faults: [{ pointer: `/${part}/upload`, detail }] });
  };
  const opened: Submission['files'] = { ...files, ...Object.fromEntries(await Promise.all(sources.map(open))) };
  const { model, calibration, evaluation = null } = opened;
  if (model === undefined || calibration === undefined)
    throw new Error('the specification names no model or no samples');
  return { model, calibration, evaluation };
}

/** Stores what is not stored yet; returns the inputs, and the specification with the ids of the uploads. */
export async function keepSources(files: JobFiles, spec: Spec): Promise<{ inputs: JobInputs; spec: Spec }> {
  const keep = async (file: SourceFile, source: Source) => {
    const { id, key, bytes, sha256, filename } = await file.keep();
    return { input: { key, bytes, sha256, filename }, source: 'upload' in source ? { upload: id } : source };
  };
  const model = await keep(files.model, spec.model);
  const calibration = await keep(files.calibration, spec.calibration);
  const evaluation = files.evaluation && spec.evaluation ? await keep(files.evaluation, spec.evaluation) : null;
  return {
    inputs: { model: model.input, calibration: calibration.input, evaluation: evaluation?.input ?? null },
    spec: {
      ...spec,
      model: model.source,
      calibration: calibration.source,
      ...(evaluation === null ? {} : { evaluation: evaluation.source }),
    },
  };
}
