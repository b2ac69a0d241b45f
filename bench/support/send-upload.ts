import { request } from 'node:http';
import { Readable } from 'node:stream';
import { KEY } from './service.js';

const CHUNK = 1 << 16;

/**
 * Uploads `bytes` of changing content without ever holding them; returns the seconds until the answer. Two uploads of
 * the same size with another `variant` have nothing in common.
 */
export async function sendUpload(url: string, bytes: number, variant = 0): Promise<number> {
  function* content() {
    for (let sent = 0; sent < bytes; sent += CHUNK) {
      const chunk = Buffer.alloc(Math.min(CHUNK, bytes - sent));
      chunk.writeDoubleLE(bytes + sent);
      chunk.writeDoubleLE(variant, 8);
      yield chunk;
    }
  }
  const start = performance.now();
  await new Promise<void>((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${KEY}`,
      'content-type': 'application/octet-stream',
      'content-length': bytes,
    };
    const call = request(`${url}/uploads?filename=large.bin`, { method: 'POST', headers }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (part: string) => (body += part));
      response.on('end', () => {
        const stored = response.statusCode === 201 ? (JSON.parse(body) as { bytes: number }).bytes : 0;
        if (stored === bytes) resolve();
        else reject(new Error(`the upload was answered with ${String(response.statusCode)}: ${body}`));
      });
    });
    call.on('error', reject);
    Readable.from(content(), { objectMode: false }).pipe(call);
  });
  return (performance.now() - start) / 1000;
}
