import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { MultipartFile } from '@fastify/multipart';
import type { FastifyRequest } from 'fastify';
import { InputError, SparankError } from '../../../errors/index.js';
import { Measure } from '../../../storage/measured-body.js';
import type { RouteDeps } from '../../deps.js';
import { checkStorable } from '../../../errors/storable.js';
import { roomFor } from '../../uploads/room.js';
import { refuseSecondSource } from './sources.js';
import { PARTS, receivedFile, type Part, type SourceFile } from './source-file.js';

export interface Submission {
  /** The specification as given; not checked. */
  given: unknown;
  /** Files that came with it. */
  files: Partial<Record<Part, SourceFile>>;
}

const isPart = (name: string): name is Part => PARTS.some((part) => part === name);

function fault(pointer: string, detail: string): InputError {
  return new InputError('invalid_request', `${pointer} ${detail}`, { faults: [{ pointer, detail }] });
}

function parseSpec(text: string): unknown {
  let spec: unknown;
  try {
    spec = JSON.parse(text);
  } catch (cause) {
    throw fault('#part/spec', `is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
  checkStorable(spec);
  return spec;
}

/** A hostile path or a control character in the client's name for a file ends here. */
const plainName = (name: string, fallback: string) =>
  (name.split(/[/\\]/).at(-1) ?? '').replaceAll(/[\u0000-\u001f\u007f]/g, '').slice(0, 255) || fallback;

interface Receiving {
  teamId: string;
  directory: string;
  /** Bytes of the parts that have come. */
  taken: number;
}

async function receive(deps: RouteDeps, to: Receiving, part: MultipartFile, name: Part) {
  const { teamId, directory } = to;
  const { maxBytes, refusal } = await roomFor(deps, teamId, to.taken);
  const measure = new Measure(maxBytes);
  const path = join(directory, `${name}.part`);
  await pipeline(part.file, measure, createWriteStream(path)).catch((error: unknown) => {
    throw error instanceof SparankError && error.code === 'payload_too_large' ? refusal() : error;
  });
  to.taken += measure.bytes;
  if (measure.bytes === 0) throw fault(`#part/${name}`, 'is empty');
  const { sha256 } = measure.result();
  return receivedFile(deps, teamId, { path, filename: plainName(part.filename, name), sha256 });
}

async function readSpecFile(part: MultipartFile, maxBytes: number): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of part.file as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBytes)
      throw new InputError('payload_too_large', `the spec may have MAX_BODY_BYTES = ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return parseSpec(Buffer.concat(chunks).toString('utf8'));
}

/**
 * Reads the parts in whatever order they come; files stream to `directory` and are hashed on the way. `checkSpec` sees the
 * specification with the files that came before it: what is wrong with it is told before the rest is sent.
 */
export async function readMultipart(
  deps: RouteDeps,
  teamId: string,
  request: FastifyRequest,
  directory: string,
  checkSpec: (soFar: Submission) => void,
): Promise<Submission> {
  const submission: Submission = { given: undefined, files: {} };
  const seen = new Set<string>();
  const to: Receiving = { teamId, directory, taken: 0 };
  const { MAX_BODY_BYTES } = deps.config;
  for await (const part of request.parts()) {
    const name = part.fieldname;
    if (seen.has(name)) throw fault(`#part/${name}`, 'is there twice');
    seen.add(name);
    if (name === 'spec') {
      if (part.type === 'file') submission.given = await readSpecFile(part, MAX_BODY_BYTES);
      else if (part.valueTruncated) {
        throw new InputError('payload_too_large', `the spec may have MAX_BODY_BYTES = ${MAX_BODY_BYTES} bytes`);
      } else submission.given = typeof part.value === 'string' ? parseSpec(part.value) : part.value;
      checkSpec(submission);
    } else if (!isPart(name)) {
      throw fault(`#part/${name}`, `is not a known part; known are spec, ${PARTS.join(', ')}`);
    } else if (part.type !== 'file') {
      throw fault(`#part/${name}`, 'must be a file: give it a filename');
    } else {
      refuseSecondSource(submission.given, name);
      submission.files[name] = await receive(deps, to, part, name);
    }
  }
  if (submission.given === undefined) throw fault('#part/spec', 'is required');
  return submission;
}
