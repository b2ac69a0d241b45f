import S3rver from '@20minutes/s3rver';
import crypto from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface S3Server {
  /** A STORAGE_URL for this server, with the credentials it knows. */
  url: string;
  endpoint: string;
  /** `METHOD path` of every request so far. */
  requests: string[];
  /** Answers every further request with this status; undefined: serves again. */
  failWith(status: number | undefined): void;
  /** Multipart uploads that were begun and neither completed nor aborted. */
  openUploads(): Promise<string[]>;
  close(): Promise<void>;
}

const BUCKET = 'files';

// The server scrambles its continuation tokens with DES, which OpenSSL 3 no longer has; triple DES with thrice the same
// key is the same cipher.
const { createCipheriv, createDecipheriv } = crypto;
const thrice = (key: crypto.CipherKey) => Buffer.alloc(24, key.toString());
Object.assign(crypto, {
  createCipheriv: (name: string, key: crypto.CipherKey, iv: crypto.BinaryLike) =>
    name === 'des' ? createCipheriv('des-ede3-cbc', thrice(key), iv) : createCipheriv(name, key, iv),
  createDecipheriv: (name: string, key: crypto.CipherKey, iv: crypto.BinaryLike) =>
    name === 'des' ? createDecipheriv('des-ede3-cbc', thrice(key), iv) : createDecipheriv(name, key, iv),
});

/** Starts an S3-compatible server with an empty bucket on a free port. */
export async function startS3(): Promise<S3Server> {
  const directory = await mkdtemp(join(tmpdir(), 'sparank-s3-'));
  const configureBuckets = [{ name: BUCKET, configs: [] }];
  const server = new S3rver({ port: 0, address: '127.0.0.1', silent: true, directory, configureBuckets });
  const uploads = join(directory, BUCKET, '._S3rver_uploads');
  const requests: string[] = [];
  let failure: number | undefined;
  server.middleware.splice(-1, 0, async (context, next) => {
    requests.push(`${context.method} ${context.path}`);
    const { uploadId } = context.query;
    if (failure !== undefined) {
      context.status = failure;
    } else if (context.method === 'DELETE' && typeof uploadId === 'string') {
      // The one call of the protocol that this server lacks: AbortMultipartUpload.
      await rm(join(uploads, uploadId), { recursive: true });
      context.status = 204;
    } else {
      // SDKs sign the path of a bucket with its last slash, this server verifies it without: these two add it.
      if (context.path === `/${BUCKET}/`) {
        context.state.vhost = true;
        context.mountPath = '/';
      }
      await next();
    }
  });
  const { port } = await server.run();
  const endpoint = `http://127.0.0.1:${port}`;
  return {
    endpoint,
    url: `s3://S3RVER:S3RVER@${BUCKET}/some/prefix?endpoint=${endpoint}&path_style=true`,
    requests,
    failWith: (status) => (failure = status),
    openUploads: () => readdir(uploads).catch(() => []),
    async close() {
      server.httpServer.closeAllConnections();
      await server.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
