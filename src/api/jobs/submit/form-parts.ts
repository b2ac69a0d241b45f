import type { Readable } from 'node:stream';
import type { MultipartFile } from '@fastify/multipart';
import type { FastifyRequest } from 'fastify';
import { SparankError } from '../../../errors/index.js';
import { requestFault } from '../../problem.js';
import { readBoundary, watchForm } from './boundary.js';

/** More than there can be: the fifth is unknown, or there twice. */
const MOST_PARTS = 8;
/** Of a part's name, in a message. */
const SHOWN_NAME = 100;

export interface FormPart {
  name: string;
  /** Absent: the part is a field. */
  filename: string | undefined;
  body: Readable;
}

/** Where a part is, in a fault. */
export const partPointer = (name: string): string => `#part/${name.slice(0, SHOWN_NAME)}`;

const unreadablePart = () =>
  requestFault(
    '#body',
    'has a part without readable headers: each needs Content-Disposition: form-data; name="…", and an empty line after its headers',
  );

function isOfParser(error: unknown): boolean {
  const { code = '' } = error as { code?: string };
  return !(error instanceof SparankError) && (code === '' || code.startsWith('FST_'));
}

/**
 * The parts of a form, each as a stream, in the order in which they come. The parser passes over what it cannot read; a
 * part that was lost in this way is missed at the end, because a job without its `evaluation` is another job.
 */
export class FormParts {
  /** The part that is being read. */
  private current: Readable | null = null;

  constructor(private readonly request: FastifyRequest) {}

  /** @throws {InputError} invalid_request, for everything that is wrong with the form */
  async *read(): AsyncGenerator<FormPart> {
    const boundary = readBoundary(this.request.headers['content-type']);
    if (boundary === null) {
      throw requestFault('#header/content-type', 'must be multipart/form-data; boundary=…, as it is between the parts');
    }
    const { raw } = this.request;
    // The client may be gone already, while its key was looked up: the parser would wait for it.
    if (raw.destroyed && !raw.complete) throw requestFault('#body', 'was cut short');
    const watch = watchForm(raw, boundary);
    let parts = 0;
    for await (const part of this.parsed(watch.unreadable)) {
      parts++;
      const name = (part as Partial<MultipartFile>).fieldname ?? '';
      if (name === '') throw requestFault('#part', 'has no name: give it Content-Disposition: form-data; name="…"');
      yield { name, filename: part.filename, body: part.file };
    }
    const found = watch.delimiters();
    if (found === 0) {
      throw requestFault('#body', 'has no part: its lines must end in CRLF, and the boundary be that of Content-Type');
    }
    // The last one ends the form.
    if (parts < found - 1) throw unreadablePart();
  }

  /**
   * What to tell the client of an error while a part was read: the form's fault, or the error itself. What the parser
   * says has no code, and it may say several things of one part; whoever comes to a part that has ended in an error is
   * told only that it has ended. An error of our own disk has a code, and reaches the part as well.
   */
  blame(error: unknown): unknown {
    const errored = this.current?.errored ?? null;
    const isLate = (error as { code?: string }).code === 'ERR_STREAM_PREMATURE_CLOSE';
    return errored !== null && isOfParser(errored) && (isLate || isOfParser(error)) ? this.fault(errored) : error;
  }

  private async *parsed(unreadable: Promise<void>): AsyncGenerator<MultipartFile> {
    // Each is taken as a file, also the specification: nothing is parsed or cut on the way.
    const limits = { files: MOST_PARTS, parts: MOST_PARTS };
    const parts = this.request.parts({ isPartAFile: () => true, limits });
    try {
      for (;;) {
        const next = await Promise.race([parts.next(), unreadable]);
        if (next === undefined) throw unreadablePart();
        if (next.done === true) return;
        if (next.value.type !== 'file') continue;
        this.current = next.value.file;
        yield next.value;
      }
    } catch (error) {
      throw this.fault(error);
    } finally {
      // Not waited for: it may be waiting itself, for a part that never ends.
      void parts.return?.().catch(() => undefined);
    }
  }

  private fault(cause: unknown): unknown {
    if (cause instanceof SparankError) return cause;
    const { raw } = this.request;
    if (raw.destroyed && !raw.complete) return requestFault('#body', 'was cut short', cause);
    const { code } = cause as { code?: string };
    if (code === 'FST_PROTO_VIOLATION') return requestFault('#part', 'has a name that is not known', cause);
    if (code?.startsWith('FST_') === true) return requestFault('#body', 'has more parts than there are', cause);
    return requestFault('#body', 'ends before the last boundary, which has "--" behind it', cause);
  }
}
