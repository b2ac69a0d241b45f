import type { Dice } from './dice.js';
import { HOSTILE } from './dice.js';
import { authorization, requestBytes, type FuzzedRequest, type Known } from './request.js';

type Values = readonly string[];

const QUALITIES = [
  '',
  ';q=0',
  ';q=0.0',
  ';q=0.000',
  ';q=1',
  ';q=0.5',
  ';q=2',
  ';q=-1',
  ';q=',
  ';q=x',
  '; q=0',
  ';Q=0',
  ';q=0;q=1',
  ';charset=utf-8;q=0',
  ' ;q=0',
  ';q="0"',
] as const;
const TYPES = [
  'text/event-stream',
  'text/*',
  '*/*',
  'application/json',
  'text/csv',
  'text/html',
  'TEXT/EVENT-STREAM',
  'text/event-streams',
  'text',
] as const;

function accept(dice: Dice): string {
  const one = () => dice.one(TYPES) + dice.one(QUALITIES);
  return Array.from({ length: 1 + dice.below(3) }, one).join(dice.one([',', ', ', ' , ', ';', ',,']));
}

/** What each header is likely to be read as; and anything else, now and then. */
const HEADERS: Record<string, Values | ((dice: Dice) => string)> = {
  Accept: accept,
  'Accept-Encoding': ['gzip', 'identity;q=0', '*;q=0', 'br;q=1, *;q=0'],
  Authorization: ['Bearer', 'Bearer ', 'Bearer  spk', 'Basic YTpi', 'bearer x', 'Bearer a b', 'Digest username="a"'],
  Cookie: ['sparank=x', '=', 'a=b; a=c', '__Host-sparank_session=%', 'sparank_session=%ff'],
  Connection: ['keep-alive, Upgrade', 'HTTP2-Settings', 'close, close', 'Content-Type'],
  'Content-Encoding': ['gzip', 'identity', 'br', 'deflate, gzip', 'x-bogus', 'identity, gzip'],
  'Content-Length': ['-1', '0x10', '1, 1', '1e3', '99999999999999999999', '+1', '1 1'],
  'Content-Type': [
    'application/json',
    'application/json; charset=utf-16',
    'application/JSON;;',
    'application/problem+json',
    'json',
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data',
    'application/octet-stream',
    'a/b/c',
    '/',
  ],
  Expect: ['100-continue', '200-ok', '100-continue, 100-continue'],
  Host: ['', 'a b', '[::1', 'host:99999', '..', 'a,b', 'a/b?c#d'],
  'Idempotency-Key': ['a', 'a, b', 'x'.repeat(255), 'x'.repeat(256)],
  'If-Match': ['*', '"x"'],
  'If-Modified-Since': ['Sat, 31 Jan 2026 12:00:00 GMT', 'Sat, 31 Jan 0000 12:00:00 GMT', 'now'],
  'If-None-Match': ['*', '""', 'W/""', 'W/"queued.1"', '"a","b"', '"queued.99999999999999999999"', 'W/', '"unclosed'],
  'If-Range': ['"x"', 'W/"x"', 'Sat, 31 Jan 2026 12:00:00 GMT', 'yesterday'],
  'Last-Event-ID': ['0', '1', '-1', '1.5', '999999999999999', '9999999999999999', '9223372036854775808'],
  Origin: ['null', 'http://evil.example', '::'],
  Prefer: [
    'wait',
    'wait=',
    'wait=0',
    'wait=-1',
    'wait=1e9',
    'wait=1.5',
    'wait=01',
    'WAIT=0',
    'respond-async, wait=0',
    'wait="0"',
    'wait=0;x=y',
    'wait=0, wait=0',
  ],
  Range: [
    'bytes=',
    'bytes=-',
    'bytes=0-',
    'bytes=0-0',
    'bytes=-0',
    'bytes=-1',
    'bytes=5-2',
    'bytes=0-0,1-1',
    'bytes=99999999999999999999-',
    'bytes=-99999999999999999999999999',
    'bytes=0-99999999999999999999',
    'bytes = 0 - 1',
    'items=0-1',
    'bytes=0x0-0x1',
    'bytes=1e1-2e1',
    'bytes=--1',
  ],
  'Repr-Digest': [
    'sha-256=::',
    'sha-256=:AA==:',
    'sha-256=AA',
    'sha-512=:AA==:',
    `sha-256=:${'A'.repeat(43)}=:`,
    'sha-256',
    'SHA-256=:x:,sha-256=:y:',
  ],
  TE: ['trailers', 'gzip'],
  traceparent: [
    '00-0-0-00',
    `00-${'0'.repeat(32)}-${'0'.repeat(16)}-00`,
    `ff-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
    `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
  ],
  tracestate: ['a=b', '=', 'a'.repeat(600)],
  'Transfer-Encoding': ['chunked', 'gzip, chunked', 'chunked, chunked', 'identity', 'bogus'],
  Upgrade: ['websocket', 'h2c', 'TLS/1.0'],
  'X-Forwarded-For': ['127.0.0.1', '::1', 'unknown', '1.2.3.4, 5.6.7.8', '999.1.1.1', '[::'],
  'X-Forwarded-Host': ['evil.example', 'a b'],
  'X-Forwarded-Proto': ['https', 'http, https', 'x'],
  'X-Request-Id': ['a', 'a b', 'x'.repeat(65)],
};
const NAMES = Object.keys(HEADERS);

function value(dice: Dice, name: string): string {
  if (dice.oneIn(4)) return dice.one(HOSTILE);
  const known = HEADERS[name] ?? HOSTILE;
  return typeof known === 'function' ? known(dice) : dice.one(known);
}

export function fuzzedHeaders(dice: Dice, known: Known): FuzzedRequest {
  const { method, target } = dice.one(known.calls);
  const count = dice.one([1, 1, 1, 2, 3]);
  const chosen = Array.from({ length: count }, () => {
    const name = dice.one(NAMES);
    return [name, value(dice, name)] as const;
  });
  const has = (name: string) => chosen.some(([one]) => one === name);
  const takesBody = method === 'POST' || method === 'PATCH' || method === 'PUT';
  const file = { upload: known.upload };
  const job = JSON.stringify({ target: { parameter_ratio: 2 }, model: file, calibration: file });
  const body =
    takesBody && !has('Content-Length')
      ? Buffer.from(dice.one(['', '{}', '{"a":1}', 'not JSON', '[1,2', job]))
      : undefined;
  const headers = [
    ...(has('Authorization') ? [] : [authorization(known)]),
    ...(body === undefined || has('Transfer-Encoding') ? [] : [['Content-Length', String(body.length)] as const]),
    ...(body === undefined || has('Content-Type') || dice.oneIn(4)
      ? []
      : [['Content-Type', 'application/json'] as const]),
    ...chosen,
  ];
  const told = chosen.map(([name, text]) => `${name}: ${JSON.stringify(text.slice(0, 40))}`).join(', ');
  // Where the length of the body is not what is said, the service may well wait for the rest.
  const leaves = has('Content-Length') || has('Transfer-Encoding');
  return {
    kind: 'header',
    how: `${method} ${target.replace(known.job, 'J')} with ${told}`,
    bytes: requestBytes({ method, target, headers }, body),
    leaves,
  };
}
