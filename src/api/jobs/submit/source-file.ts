import { createReadStream } from 'node:fs';
import { extname, join } from 'node:path';
import type { UploadRecord } from '../../../database/records.js';
import type { LazyDirectory } from '../../../storage/scratch.js';
import type { RouteDeps } from '../../deps.js';
import { isStored } from '../../../storage/is-stored.js';
import { keepUpload } from '../../uploads/keep.js';

export const PARTS = ['model', 'calibration', 'evaluation'] as const;
export type Part = (typeof PARTS)[number];

/** A file that a job names: already in storage, or just received and not yet kept. */
export interface SourceFile {
  sha256: string;
  filename: string;
  /** A local copy below `directory`. */
  local(directory: LazyDirectory, part: Part): Promise<string>;
  /** Its record, stored now if it is not yet. */
  keep(): Promise<UploadRecord>;
}

/** The end of the name is kept for whoever reads it; the rest of a client's name stays out of paths. */
function localName(part: Part, filename: string): string {
  const extension = extname(filename);
  return part + (/^\.[a-z0-9]{1,8}$/i.test(extension) ? extension.toLowerCase() : '');
}

export function storedFile({ storage }: RouteDeps, upload: UploadRecord): SourceFile {
  return {
    sha256: upload.sha256,
    filename: upload.filename,
    keep: async () => upload,
    local: async (directory, part) => {
      const path = join(await directory.path(), localName(part, upload.filename));
      await storage.download(upload.key, path);
      return path;
    },
  };
}

export function receivedFile(
  deps: RouteDeps,
  teamId: string,
  file: { path: string; filename: string; sha256: string },
): SourceFile {
  return {
    sha256: file.sha256,
    filename: file.filename,
    local: async () => file.path,
    async keep() {
      const known = await deps.database.uploads.findByHash(teamId, file.sha256);
      if (known !== null && (await isStored(deps.storage, known))) return known;
      return keepUpload(deps, teamId, { body: createReadStream(file.path), filename: file.filename });
    },
  };
}
