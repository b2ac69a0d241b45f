import { gzipSync } from 'node:zlib';
import type { Dice } from './dice.js';
import { HOSTILE } from './dice.js';
import { authorization, headerBytes, requestBytes, type FuzzedRequest, type Known } from './request.js';

const METHODS = [
  'GET',
  'get',
  'PUT',
  'TRACE',
  'CONNECT',
  'PROPFIND',
  'QUERY',
  'PRI',
  'G',
  '',
  'GET\u0000',
  'M-SEARCH',
] as const;
const VERSIONS = ['HTTP/1.1', 'HTTP/1.0', 'HTTP/0.9', 'HTTP/2.0', 'HTTP/1.2', 'http/1.1', 'HTTP/', ''] as const;
/** A call with a hostile query, or a hostile name in its path. */
function fuzzedTarget(dice: Dice, known: Known): string {
  const text = () => (dice.oneIn(2) ? dice.one(HOSTILE) : encodeURIComponent(dice.one(HOSTILE).toWellFormed()));
  const call = dice.one(known.calls);
  const path = dice.oneIn(3) ? call.target.replace(/\/[^/]*$/, `/${text()}`) : call.target;
  const name = () => (dice.oneIn(8) || call.query.length === 0 ? text() : dice.one(call.query));
  const query = Array.from({ length: dice.below(4) }, () => `${name()}=${text()}`);
  const whole = query.length === 0 ? path : `${path}?${query.join('&')}`;
  // A space or a line break would end the target.
  return dice.oneIn(10) ? whole : whole.replaceAll(/[\s\u0000]/g, '+');
}

/** The first line of a request, and what else is wrong before any route is found. */
export function fuzzedLine(dice: Dice, known: Known): FuzzedRequest {
  const name = dice.one(['GET', 'GET', 'GET', ...METHODS]);
  const where = dice.oneIn(8)
    ? dice.one([
        '*',
        'http://fuzz/jobs',
        'https://fuzz:99999/jobs',
        '//jobs',
        '',
        '/%',
        '/jobs/%e0%a4%a',
        `/${'a'.repeat(20_000)}`,
      ])
    : fuzzedTarget(dice, known);
  const version = dice.oneIn(4) ? dice.one(VERSIONS) : 'HTTP/1.1';
  const [header, value] = authorization(known);
  const more = dice.oneIn(6)
    ? dice.one([
        'no colon\r\n',
        ': nameless\r\n',
        'X-Long: ' + 'x'.repeat(20_000) + '\r\n',
        ' folded\r\n',
        'Bad Name: x\r\n',
        'X-NUL: \u0000\r\n',
        'Content-Length: 5\r\nContent-Length: 6\r\n',
        'Host: again\r\n',
      ])
    : '';
  const host = dice.oneIn(8) ? '' : 'Host: fuzz\r\n';
  const eol = dice.oneIn(20) ? '\n' : '\r\n';
  const bytes = headerBytes(
    `${name} ${where} ${version}${eol}${host}Connection: close\r\n${header}: ${value}\r\n${more}\r\n`,
  );
  // A first line that is none leaves the service waiting for one; a body that was announced, too.
  const leaves = eol === '\n' || more.startsWith('Content-Length') || name === 'CONNECT' || version !== 'HTTP/1.1';
  return { kind: 'line', how: `${name} ${where.slice(0, 60)} ${version} ${more.slice(0, 20)}`, bytes, leaves };
}

const JSONS = [
  '',
  ' ',
  '{',
  '{}',
  '[]',
  'null',
  '1e999',
  '"\\ud800"',
  '{"a":1}}',
  '{"__proto__":{"x":1}}',
  '{"constructor":{"prototype":{}}}',
  '{"name":"a","name":"b"}',
  '\ufeff{}',
  '{"url":"http://\\u0000"}',
  '['.repeat(20_000),
  '{"a":'.repeat(5000),
  '{"name":"\\u0000"}',
  '{"name":{}}',
  '{"name":["a"],"scopes":{}}',
  '{"scopes":["admin","admin"]}',
  '\u00ff\u00fe{\u0000}\u0000',
  "{'name': 'a'}",
  '{"name": NaN}',
  '{"weight": 1e400}',
  '{"limits": {"queued_jobs": 1.5}}',
  '{"targets": []}',
  '{"target": {"parameter_ratio": 2}, "model": {"upload": "x"}, "calibration": {"upload": "x"}}',
  '{"target": {"parameter_ratio": 2}, "model": {"url": "https://[", "sha256": "x"}, "calibration": {"upload": "x"}}',
] as const;
const TYPES = [
  'application/json',
  'application/json; charset=utf-8',
  'application/json; charset=utf-16',
  'application/merge-patch+json',
  'text/plain',
  'text/json',
  '',
] as const;

/** JSON that is none, or that means nothing; compressed, or called something else. */
export function fuzzedBody(dice: Dice, known: Known): FuzzedRequest {
  const text = dice.one(JSONS);
  const raw = dice.oneIn(5) ? headerBytes(text) : Buffer.from(text, 'utf8');
  const packed = dice.oneIn(8);
  const body = packed ? gzipSync(raw) : raw;
  const type = dice.oneIn(3) ? dice.one(TYPES) : 'application/json';
  const call = dice.one(known.calls.filter(({ method: one, hasBody }) => hasBody || one === 'POST'));
  const method = dice.oneIn(10) ? dice.one(['PATCH', 'DELETE', 'PUT']) : call.method;
  // Where another method removes something, there is nothing of that name.
  const where = method === call.method ? call.target : `${call.target}/none`;
  const headers = [
    authorization(known),
    ...(type === '' ? [] : [['Content-Type', type] as const]),
    ...(packed && !dice.oneIn(3) ? [['Content-Encoding', 'gzip'] as const] : []),
    ['Content-Length', String(body.length)] as const,
  ];
  const bytes = requestBytes({ method, target: where, headers }, body);
  return {
    kind: 'body',
    how: `${method} ${where} ${type}${packed ? ' gzip' : ''} ${JSON.stringify(text.slice(0, 40))}`,
    bytes,
    leaves: false,
  };
}
