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

/**
 * Counts the delimiters that pass in `stream`, the one that ends the form included; what is behind that one is not looked at.
 * Tells the count when it is called.
 */
export function countDelimiters(stream: Readable, boundary: string): () => number {
  const delimiter = Buffer.from(`\r\n--${boundary}`, 'latin1');
  // The first one needs no line break before it.
  let rest: Buffer = Buffer.from('\r\n');
  let found = 0;
  const look = (chunk: Buffer) => {
    const bytes = Buffer.concat([rest, chunk]);
    let from = 0;
    for (;;) {
      const at = bytes.indexOf(delimiter, from);
      const behind = at + delimiter.length;
      if (at < 0 || behind + 2 > bytes.length) {
        // A delimiter, or the two characters behind it, may go on in the next chunk.
        rest = bytes.subarray(at < 0 ? Math.max(from, bytes.length - delimiter.length + 1) : at);
        return;
      }
      found++;
      if (bytes.toString('latin1', behind, behind + 2) === '--') {
        stream.off('data', look);
        return;
      }
      from = behind;
    }
  };
  stream.on('data', look);
  return () => found;
}
