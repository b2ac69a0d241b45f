import type { Dice } from './dice.js';
import { HOSTILE } from './dice.js';
import { authorization, headerBytes, requestBytes, type FuzzedRequest, type Known } from './request.js';

interface Part {
  headers: string[];
  content: Buffer;
}

/** A form before it is written: what is damaged is a place of it. */
interface Form {
  contentType: string;
  boundary: string;
  preamble: string;
  parts: Part[];
  /** After the last part. */
  ending: string;
  eol: string;
}

export interface Content {
  model: Buffer;
  calibration: Buffer;
}

const SPEC = '{"target": {"parameter_ratio": 2}}';
const SPECS = [
  '',
  'null',
  '[]',
  '"text"',
  '{',
  '{"target": {"parameter_ratio": 2}} trailing',
  '\ufeff{"target": {"parameter_ratio": 2}}',
  '{"target": {"parameter_ratio": 2}, "__proto__": {"a": 1}}',
  '{"target": {"parameter_ratio": 2}, "labels": {"__proto__": "a"}}',
  '{"target": {"parameter_ratio": 2}, "labels": {"constructor": {"prototype": 1}}}',
  '{"target": {"parameter_ratio": 2}, "labels": {"a": "\\u0000"}}',
  '{"target": {"parameter_ratio": 2}, "labels": {"a": "\\ud800"}}',
  '{"target": {"parameter_ratio": 1e999}}',
  '{"target": {"parameter_ratio": "2"}}',
  '{"target": {"parameter_ratio": 2}, "model": {"upload": "none"}}',
  `{"target": ${'['.repeat(3000)}${']'.repeat(3000)}}`,
] as const;

const disposition = (name: string, filename?: string): string =>
  `Content-Disposition: form-data; name="${name}"${filename === undefined ? '' : `; filename="${filename}"`}`;

/**
 * Whole, and refused for its webhook when all parts have come: most forms are not worth the seconds of a check of their
 * files.
 */
const UNCHECKED = '{"target": {"parameter_ratio": 2}, "webhook": {"url": "http://127.0.0.1/"}}';

const goodForm = ({ model, calibration }: Content, spec: string): Form => ({
  contentType: 'multipart/form-data; boundary=between-the-parts',
  boundary: 'between-the-parts',
  preamble: '',
  parts: [
    { headers: [disposition('spec')], content: Buffer.from(spec) },
    { headers: [disposition('model', 'model.onnx'), 'Content-Type: application/octet-stream'], content: model },
    { headers: [disposition('calibration', 'samples.npz')], content: calibration },
  ],
  ending: '--between-the-parts--\r\n',
  eol: '\r\n',
});

/** Changes one thing, and says what. */
type Damage = (form: Form, dice: Dice, part: Part) => string;

const DAMAGES = [
  (form, dice) => {
    const type = dice.one([
      'multipart/form-data',
      'multipart/form-data; boundary',
      'multipart/form-data; boundary=',
      'multipart/form-data; boundary=""',
      'multipart/form-data; boundary="between-the-parts',
      'multipart/form-data; boundary=another',
      'multipart/form-data; boundary=between-the-part',
      'multipart/form-data; boundary=between-the-parts; boundary=another',
      'multipart/form-data; charset=utf-16; boundary=between-the-parts',
      'multipart/form-data; BOUNDARY="between-the-parts"',
      'multipart/form-data;boundary=between-the-parts;',
      'multipart/form-data, boundary=between-the-parts',
      'Multipart/Form-Data; boundary=between-the-parts',
      'multipart/mixed; boundary=between-the-parts',
      'multipart/form-data-more; boundary=between-the-parts',
      'multipart/; boundary=between-the-parts',
      'multipart',
      `multipart/form-data; boundary=${'b'.repeat(300)}`,
      `multipart/form-data; boundary=${dice.one(HOSTILE)}`,
      `multipart/form-data; ${dice.one(HOSTILE)}=between-the-parts`,
    ]);
    form.contentType = type;
    return `type ${type.slice(0, 60)}`;
  },
  (_form, dice, part) => {
    const name = dice.one(['model', 'calibration', 'spec', 'evaluation', 'undefined', 'more', ...HOSTILE]);
    part.headers[0] = disposition(name, dice.oneIn(2) ? 'file.onnx' : undefined);
    return `part named ${JSON.stringify(name.slice(0, 20))}`;
  },
  (_form, dice, part) => {
    const filename = dice.one([...HOSTILE, 'C:\\model.onnx', 'a"b', 'a\\"b', "a'b", 'model.onnx\u0000.exe']);
    part.headers[0] = disposition('model', filename);
    return 'a hostile filename';
  },
  (_form, dice, part) => {
    part.headers[0] = dice.one([
      'Content-Disposition: form-data',
      'Content-Disposition: form-data; name',
      'Content-Disposition: form-data; name=',
      'Content-Disposition: form-data; name=model',
      'Content-Disposition: form-data; filename="model.onnx"',
      'Content-Disposition: form-data; name="model',
      'Content-Disposition: form-data; name="model"; name="calibration"',
      'Content-Disposition: form-data; name="model"; filename*=UTF-8\'\'mod%E2%82%ACl.onnx',
      'Content-Disposition: form-data; name="model"; filename*=bogus\'\'%zz',
      'Content-Disposition: form-data; name*=UTF-8\'\'model; filename="x"',
      'Content-Disposition: attachment; name="model"; filename="x"',
      'Content-Disposition: file',
      'Content-Disposition:',
      'Content-Disposition',
      ' Content-Disposition: form-data; name="model"; filename="x"',
      'Content-Disposition: form-data;\r\n name="model";\r\n\tfilename="x"',
      'Content-Disposition: form-data; name="model"; filename="a\rb"',
      'Content-Disposition: form-data; name="model"; filename="a\nb"',
      'content-disposition:form-data;name=model;filename=x',
      'X-Other: 1',
      ': form-data; name="model"',
      '',
    ]);
    return `header ${JSON.stringify(part.headers[0]?.slice(0, 70))}`;
  },
  (_form, dice, part) => {
    const type = dice.one([
      'application/octet-stream',
      'application/json',
      'application/json; charset=utf-16',
      'text/plain; charset=utf-7',
      'text/plain; charset=bogus',
      'multipart/mixed; boundary=inner',
      'application/x-www-form-urlencoded',
      ...HOSTILE,
    ]);
    part.headers[1] = `Content-Type: ${type}`;
    return 'the type of a part';
  },
  (_form, dice, part) => {
    part.headers[1] = `Content-Transfer-Encoding: ${dice.one(['base64', 'quoted-printable', 'binary', ...HOSTILE])}`;
    return 'the transfer encoding of a part';
  },
  (_form, dice, part) => {
    const many = dice.one([1, 100, 2100]);
    for (let n = 0; n < many; n++) part.headers.push(`X-Header-${String(n)}: ${'v'.repeat(dice.one([0, 10, 900]))}`);
    return 'many headers of a part';
  },
  (form, dice) => {
    form.eol = dice.one(['\n', '\r', '\n\r', '']);
    return `lines that end in ${JSON.stringify(form.eol)}`;
  },
  (form, dice) => {
    form.ending = dice.one([
      '',
      '\r\n',
      '--between-the-parts',
      '--between-the-parts-',
      '--between-the-parts--',
      '--between-the-parts-- \r\n',
      '--between-the-parts\r\n--between-the-parts--\r\n',
      '--between-the-parts--\r\n--between-the-parts--\r\n',
      `--between-the-parts--\r\n${disposition('evaluation', 'x')}\r\n\r\nmore\r\n--between-the-parts--\r\n`,
      '--between-the-parts\r\n\r\n\r\n--between-the-parts--\r\n',
      `--between-the-parts\r\n${disposition('evaluation', 'x')}\r\n--between-the-parts--\r\n`,
      `--between-the-parts\r\n${disposition('evaluation', 'x')}\r\n\r\n`,
      `--between-the-parts\r\nContent-Dispo`,
    ]);
    return `ending ${JSON.stringify(form.ending.slice(0, 60))}`;
  },
  (form, dice) => {
    form.preamble = dice.one(['\r\n', 'text\r\n', '\r\n\r\n', '\n', '--', 'x'.repeat(70_000)]);
    return 'text before the first part';
  },
  (form, dice, part) => {
    const many = dice.one([1, 2, 30]);
    for (let n = 0; n < many; n++) form.parts.push({ headers: [...part.headers], content: part.content });
    return 'a part more than once';
  },
  (form, dice) => {
    form.parts = form.parts.filter(() => !dice.oneIn(2));
    return 'parts left out';
  },
  (form) => {
    form.parts.reverse();
    return 'another order';
  },
  (_form, dice, part) => {
    part.content = Buffer.from(dice.one(['', 'text', '\r\n--between-the-part', '\r\n--', ...SPECS]));
    return 'other content';
  },
  (form, dice) => {
    const [spec] = form.parts;
    if (spec !== undefined) spec.content = Buffer.from(dice.one(SPECS));
    return 'another specification';
  },
  (form, dice) => {
    const [spec] = form.parts;
    if (spec !== undefined) spec.headers = [disposition('spec', 's.json'), 'Content-Type: application/json'];
    if (spec !== undefined && dice.oneIn(2)) spec.content = Buffer.from(dice.one(SPECS));
    return 'the specification as a JSON file';
  },
] as const satisfies readonly Damage[];

function written({ boundary, preamble, parts, ending, eol }: Form): Buffer {
  const chunks: Buffer[] = [Buffer.from(preamble)];
  for (const { headers, content } of parts) {
    chunks.push(headerBytes(`--${boundary}${eol}${headers.map((line) => line + eol).join('')}${eol}`));
    chunks.push(content, Buffer.from(eol));
  }
  chunks.push(Buffer.from(ending));
  return Buffer.concat(chunks);
}

/** Changes of bytes, whatever they mean. */
function damagedBytes(bytes: Buffer, dice: Dice): { how: string; bytes: Buffer } {
  const at = dice.below(bytes.length + 1);
  switch (dice.below(4)) {
    case 0:
      return { how: 'cut', bytes: bytes.subarray(0, at) };
    case 1: {
      const changed = Buffer.from(bytes);
      for (let n = dice.below(6); n >= 0; n--) changed[dice.below(changed.length)] = dice.below(256);
      return { how: 'bytes changed', bytes: changed };
    }
    case 2: {
      const end = Math.min(bytes.length, at + dice.below(60));
      return { how: 'bytes left out', bytes: Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)]) };
    }
    default: {
      const piece = dice.one(['\r\n', '\n', '\r\n--between-the-parts\r\n', '--between-the-parts--', '\u0000', '"']);
      return {
        how: `${JSON.stringify(piece)} put in`,
        bytes: Buffer.concat([bytes.subarray(0, at), Buffer.from(piece), bytes.subarray(at)]),
      };
    }
  }
}

export function fuzzedForm(dice: Dice, known: Known, content: Content): FuzzedRequest {
  const form = goodForm(content, dice.oneIn(10) ? SPEC : UNCHECKED);
  const told: string[] = [];
  for (let n = dice.one([0, 1, 1, 1, 2, 3]); n > 0; n--) {
    const part = form.parts[dice.below(form.parts.length)] ?? { headers: [], content: Buffer.alloc(0) };
    told.push(dice.one<Damage>(DAMAGES)(form, dice, part));
  }
  let body = written(form);
  if (told.length === 0 || dice.oneIn(4)) {
    const { how, bytes } = damagedBytes(body, dice);
    told.push(how);
    body = bytes;
  }
  // Most are only checked: what is accepted costs a job.
  const target = dice.oneIn(40) ? '/jobs' : '/jobs?dry_run=true';
  const head = (length: readonly [string, string]) => ({
    method: 'POST',
    target,
    headers: [authorization(known), ['Content-Type', form.contentType] as const, length],
  });
  if (dice.oneIn(12)) {
    // Less comes than was said, and then nothing.
    const length = String(body.length + 1 + dice.below(1000));
    const part = body.subarray(0, dice.below(body.length + 1));
    const bytes = requestBytes(head(['Content-Length', length]), part);
    return { kind: 'form', how: 'the client leaves', bytes, leaves: true };
  }
  if (dice.oneIn(8)) {
    const chunks: Buffer[] = [];
    for (let at = 0; at < body.length;) {
      const size = Math.min(body.length - at, 1 + dice.below(dice.one([3, 40, 4000, 100_000])));
      chunks.push(Buffer.from(`${size.toString(16)}\r\n`), body.subarray(at, at + size), Buffer.from('\r\n'));
      at += size;
    }
    chunks.push(Buffer.from('0\r\n\r\n'));
    told.push('in chunks');
    const bytes = requestBytes(head(['Transfer-Encoding', 'chunked']), Buffer.concat(chunks));
    return { kind: 'form', how: told.join(', '), bytes, leaves: false };
  }
  const bytes = requestBytes(head(['Content-Length', String(body.length)]), body);
  return { kind: 'form', how: told.join(', '), bytes, leaves: false };
}
