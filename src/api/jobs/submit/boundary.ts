import type { Readable } from 'node:stream';

const OTHER = String.raw`(?:\s*;\s*(?!boundary)[\w-]+=[^";\s]*)*`;
const MARKS = "[\\w'()+,./:=?-]";
/** RFC 2046, and longer than its 70 characters: there are clients that do it. */
const BOUNDARY = new RegExp(
  `^multipart/form-data${OTHER}\\s*;\\s*boundary=(?:"((?:${MARKS}| ){0,199}${MARKS})"|(${MARKS}{1,200}))${OTHER}\\s*;?\\s*$`,
  'i',
);

/** The one boundary that a Content-Type names; null where there is none, or more than one way to read it. */
export function readBoundary(contentType: string | undefined): string | null {
  const match = BOUNDARY.exec(contentType ?? '');
  return match?.[1] ?? match?.[2] ?? null;
}

/** Longer ones the parser does not read either. */
const MOST_HEADER_BYTES = 80 * 1024;
const READABLE = /^content-disposition[ \t]*:[ \t]*form-data[ \t]*(;|\r?$)/im;

/** What passes in a form, beside its parser. */
export interface FormWatch {
  /** Delimiters so far, the one that ends the form included; what is behind that one is not looked at. */
  delimiters(): number;
  /**
   * Resolves at the first part whose headers do not say that it is one: the parser passes over it, and over a large one
   * never ends.
   */
  unreadable: Promise<void>;
}

export function watchForm(stream: Readable, boundary: string): FormWatch {
  const delimiter = Buffer.from(`\r\n--${boundary}`, 'latin1');
  const endOfHeaders = Buffer.from('\r\n\r\n');
  // The first one needs no line break before it.
  let rest: Buffer = Buffer.from('\r\n');
  let inHeaders = false;
  let over = false;
  let found = 0;
  let tell: () => void = () => undefined;
  const unreadable = new Promise<void>((resolve) => (tell = resolve));

  /** Where to go on looking, or null when the next chunk is needed. */
  function pastHeaders(bytes: Buffer, from: number): number | null {
    const end = bytes.indexOf(endOfHeaders, from);
    const next = bytes.indexOf(delimiter, from);
    if (end < 0 && next < 0 && bytes.length - from < MOST_HEADER_BYTES) return null;
    inHeaders = false;
    // What ends before its headers do is found by its delimiter.
    if (end < 0 || (next >= 0 && next < end)) return from;
    if (!READABLE.test(bytes.toString('latin1', from, end))) tell();
    return end + 2;
  }

  function pastDelimiter(bytes: Buffer, from: number): number | null {
    const at = bytes.indexOf(delimiter, from);
    const behind = at + delimiter.length;
    if (at < 0 || behind + 2 > bytes.length) return null;
    found++;
    inHeaders = true;
    if (bytes.toString('latin1', behind, behind + 2) === '--') over = true;
    return behind;
  }

  function look(chunk: Buffer): void {
    const bytes = Buffer.concat([rest, chunk]);
    let from = 0;
    while (!over) {
      const next = inHeaders ? pastHeaders(bytes, from) : pastDelimiter(bytes, from);
      if (next === null) break;
      from = next;
    }
    if (over) stream.off('data', look);
    // A delimiter, or the two characters behind it, may go on in the next chunk.
    rest = bytes.subarray(inHeaders ? from : Math.max(from, bytes.length - delimiter.length - 1));
  }
  stream.on('data', look);
  return { delimiters: () => found, unreadable };
}
