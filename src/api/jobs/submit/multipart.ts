import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { FastifyRequest } from 'fastify';
import { InputError, SparankError } from '../../../errors/index.js';
import { Measure } from '../../../storage/measured-body.js';
import type { LazyDirectory } from '../../../storage/scratch.js';
import type { RouteDeps } from '../../deps.js';
import { checkStorable } from '../../../errors/storable.js';
import { parseJson } from '../../json-body.js';
import { requestFault } from '../../problem.js';
import { roomFor } from '../../uploads/room.js';
import { FormParts, partPointer, type FormPart } from './form-parts.js';
import { refuseSecondSource } from './sources.js';
import { PARTS, receivedFile, type Part, type SourceFile } from './source-file.js';

export interface Submission {
  /** The specification as given; not checked. */
  given: unknown;
  /** Files that came with it. */
  files: Partial<Record<Part, SourceFile>>;
}

const isPart = (name: string): name is Part => PARTS.some((part) => part === name);

function parseSpec(text: string): unknown {
  const spec = parseJson(text, '#part/spec');
  checkStorable(spec);
  return spec;
}

/** A hostile path or a control character in the client's name for a file ends here. */
const plainName = (name: string, fallback: string) =>
  (name.split(/[/\\]/).at(-1) ?? '').replaceAll(/[\u0000-\u001f\u007f]/g, '').slice(0, 255) || fallback;

interface Receiving {
  teamId: string;
  directory: LazyDirectory;
  /** Bytes of the parts that have come. */
  taken: number;
}

async function receive(deps: RouteDeps, to: Receiving, { body, filename }: FormPart, name: Part): Promise<SourceFile> {
  const { teamId, directory } = to;
  const { maxBytes, refusal } = await roomFor(deps, teamId, to.taken);
  const measure = new Measure(maxBytes);
  const path = join(await directory.path(), `${name}.part`);
  await pipeline(body, measure, createWriteStream(path)).catch((error: unknown) => {
    throw error instanceof SparankError && error.code === 'payload_too_large' ? refusal() : error;
  });
  to.taken += measure.bytes;
  if (measure.bytes === 0) throw requestFault(`#part/${name}`, 'is empty');
  const { sha256 } = measure.result();
  return receivedFile(deps, teamId, { path, filename: plainName(filename ?? '', name), sha256 });
}

async function readSpec({ body }: FormPart, maxBytes: number): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBytes) {
      const detail = `the spec may have MAX_BODY_BYTES = ${maxBytes} bytes`;
      throw new InputError('payload_too_large', detail, { faults: [{ pointer: '#part/spec', detail }] });
    }
    chunks.push(chunk);
  }
  return parseSpec(Buffer.concat(chunks).toString('utf8'));
}

/**
 * Reads the parts in whatever order they come; files stream to `directory` and are hashed on the way. `checkSpec` sees
 * the specification with the files that came before it: what is wrong with it is told before the rest is sent.
 */
export async function readMultipart(
  deps: RouteDeps,
  teamId: string,
  { request, directory }: { request: FastifyRequest; directory: LazyDirectory },
  checkSpec: (soFar: Submission) => void,
): Promise<Submission> {
  const submission: Submission = { given: undefined, files: {} };
  const seen = new Set<string>();
  const to: Receiving = { teamId, directory, taken: 0 };
  const form = new FormParts(request);
  try {
    for await (const part of form.read()) {
      const { name } = part;
      if (seen.has(name)) throw requestFault(partPointer(name), 'is there twice');
      seen.add(name);
      if (name === 'spec') {
        submission.given = await readSpec(part, deps.config.MAX_BODY_BYTES);
        checkSpec(submission);
      } else if (!isPart(name)) {
        throw requestFault(partPointer(name), `is not a known part; known are spec, ${PARTS.join(', ')}`);
      } else if (part.filename === undefined) {
        throw requestFault(`#part/${name}`, 'must be a file: give it a filename');
      } else {
        refuseSecondSource(submission.given, name);
        submission.files[name] = await receive(deps, to, part, name);
      }
    }
  } catch (error) {
    throw form.blame(error);
  }
  if (submission.given === undefined) throw requestFault('#part/spec', 'is required');
  return submission;
}
