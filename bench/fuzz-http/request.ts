import { Buffer } from 'node:buffer';

/** What is written to the socket, byte for byte. */
export interface FuzzedRequest {
  kind: Kind;
  /** What is wrong with it. */
  how: string;
  bytes: Buffer;
  /**
   * The client goes away after the last byte, or closes its sending side in the middle of the body: it need not be
   * answered.
   */
  leaves: boolean;
}

export const KINDS = ['form', 'header', 'time', 'body', 'line'] as const;
export type Kind = (typeof KINDS)[number];

/** Names of what is in the service that is asked. */
export interface Known {
  key: string;
  /** A finished job, and an artifact of it. */
  job: string;
  artifact: string;
  upload: string;
  /** Every call of the OpenAPI document, with these names in its path. */
  calls: readonly Call[];
}

export interface Call {
  method: string;
  target: string;
  /** Names of its query. */
  query: readonly string[];
  hasBody: boolean;
}

export interface Head {
  method: string;
  target: string;
  headers: readonly (readonly [string, string])[];
}

/** Text of headers as bytes; characters above U+00FF become UTF-8. */
export const headerBytes = (text: string): Buffer =>
  /^[\u0000-\u00ff]*$/.test(text) ? Buffer.from(text, 'latin1') : Buffer.from(text, 'utf8');

/** One request on a connection of its own. */
export function requestBytes({ method, target, headers }: Head, body?: Buffer): Buffer {
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return Buffer.concat([
    headerBytes(`${method} ${target} HTTP/1.1\r\nHost: fuzz\r\nConnection: close\r\n${lines}\r\n`),
    body ?? Buffer.alloc(0),
  ]);
}

export const authorization = ({ key }: Known): readonly [string, string] => ['Authorization', `Bearer ${key}`];
