/** A multipart/form-data body, in the order given. */
export interface FormPart {
  name: string;
  content: string | Buffer;
  filename?: string;
  type?: string;
}

const BOUNDARY = 'a-boundary-that-is-in-no-part';

export function form(parts: FormPart[]): { payload: Buffer; headers: Record<string, string> } {
  const chunks: (string | Buffer)[] = [];
  for (const { name, content, filename, type } of parts) {
    const file = filename === undefined ? '' : `; filename="${filename}"`;
    chunks.push(`--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"${file}\r\n`);
    if (type !== undefined) chunks.push(`Content-Type: ${type}\r\n`);
    chunks.push('\r\n', content, '\r\n');
  }
  chunks.push(`--${BOUNDARY}--\r\n`);
  return {
    payload: Buffer.concat(chunks.map((chunk) => Buffer.from(chunk))),
    headers: { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` },
  };
}
