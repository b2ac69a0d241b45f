import { ConfigError } from '../config/index.js';

export interface S3Settings {
  bucket: string;
  /** Prepended to every key: empty, or ends with `/`. */
  prefix: string;
  region: string;
  endpoint: string | undefined;
  /** The endpoint as clients of presigned URLs see it, when it differs. */
  publicEndpoint: string | undefined;
  pathStyle: boolean;
  /** False: downloads go through the API. */
  presign: boolean;
  /** Absent: the AWS SDK's own chain (environment, profile, instance role). */
  credentials: { accessKeyId: string; secretAccessKey: string } | undefined;
}

const PARAMETERS = ['endpoint', 'public_endpoint', 'region', 'path_style', 'presign'];

/**
 * Reads `s3://[id:secret@]bucket[/prefix]?endpoint=...&public_endpoint=...&region=...&path_style=true&presign=false`.
 * @throws {ConfigError} naming what is wrong, never the secret.
 */
export function readS3Url(text: string): S3Settings {
  if (!URL.canParse(text)) throw new ConfigError('STORAGE_URL is not a URL');
  const url = new URL(text);
  const fault = (what: string) => new ConfigError(`STORAGE_URL ${what}`);
  if (url.protocol !== 's3:' || url.host === '') throw fault('must look like s3://bucket');
  const query = url.searchParams;
  for (const name of query.keys()) {
    if (!PARAMETERS.includes(name)) throw fault(`has an unknown parameter ${name} (known: ${PARAMETERS.join(', ')})`);
  }
  const flag = (name: string, fallback: boolean) => {
    const value = query.get(name) ?? String(fallback);
    if (value !== 'true' && value !== 'false') throw fault(`${name} must be true or false`);
    return value === 'true';
  };
  const origin = (name: string) => {
    const value = query.get(name);
    if (value === null) return undefined;
    if (!/^https?:\/\//.test(value) || !URL.canParse(value)) throw fault(`${name} must be an http(s) URL`);
    return value;
  };
  if ((url.username === '') !== (url.password === '')) throw fault('needs both id and secret, or neither');
  const path = url.pathname.split('/').filter((segment) => segment !== '');
  return {
    bucket: url.host,
    prefix: path.map((segment) => `${segment}/`).join(''),
    region: query.get('region') ?? 'us-east-1',
    endpoint: origin('endpoint'),
    publicEndpoint: origin('public_endpoint'),
    pathStyle: flag('path_style', false),
    presign: flag('presign', true),
    credentials:
      url.username === ''
        ? undefined
        : { accessKeyId: decodeURIComponent(url.username), secretAccessKey: decodeURIComponent(url.password) },
  };
}
