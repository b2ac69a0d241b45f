import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { form } from './support/form.js';
import { reluModel } from './support/model.js';
import { countNodes, expectProblem, startService, type TestService } from './support/service.js';

/** A form that is not whole is refused, with the place; nothing of it is passed over, and nothing of it stays. */

let postgres: TestPostgres;
let service: TestService;
beforeAll(async () => {
  postgres = await startPostgres();
  service = await startService(postgres, { checkSubmission: countNodes });
});
afterAll(async () => {
  await service.close();
  await postgres.stop();
});

const TYPE = 'multipart/form-data; boundary=B';
const field = (name: string, content: string) =>
  `--B\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${content}\r\n`;
const file = (name: string, content = 'bytes') =>
  `--B\r\nContent-Disposition: form-data; name="${name}"; filename="${name}.bin"\r\n\r\n${content}\r\n`;
const SPEC = field('spec', '{"target": {"parameter_ratio": 4}}');
const END = '--B--\r\n';
const whole = SPEC + file('model', reluModel().toString('latin1')) + file('calibration');

const send = (payload: string, type = TYPE) =>
  service.call('POST', '/jobs', { payload: Buffer.from(payload, 'latin1'), headers: { 'content-type': type } });

/** The scratch directory of a request goes a moment after its answer. */
const stored = async () => (await service.files()).filter((name) => name.startsWith('storage/'));

test('a whole form is taken', async () => {
  expect((await send(whole + END)).statusCode).toBe(202);
  // What is around the parts means nothing.
  expect((await send(`before\r\n${whole}${END}--B\r\nbehind`)).statusCode).toBe(202);
  expect((await send(whole + END, 'Multipart/Form-Data; charset=utf-8; boundary="B"')).statusCode).toBe(202);
});

describe('is refused at its place:', () => {
  const octets = '\r\nContent-Type: application/octet-stream';
  const cases: [string, string, string, RegExp, string?][] = [
    [
      'a file without a filename',
      `${SPEC}--B\r\nContent-Disposition: form-data; name="model"${octets}\r\n\r\nbytes\r\n${END}`,
      '#part/model',
      /filename/,
    ],
    [
      'a part without a name',
      `${SPEC}--B\r\nContent-Disposition: form-data; filename="a"\r\n\r\nbytes\r\n${END}`,
      '#part',
      /no name/,
    ],
    ['a part named undefined', `${SPEC}${file('undefined')}${END}`, '#part/undefined', /not a known part/],
    ['a part named as what all objects have', `${SPEC}${file('constructor')}${END}`, '#part', /not known/],
    ['no boundary', whole + END, '#header/content-type', /boundary/, 'multipart/form-data'],
    ['an empty boundary', whole + END, '#header/content-type', /boundary/, 'multipart/form-data; boundary=""'],
    ['two boundaries', whole + END, '#header/content-type', /boundary/, `${TYPE}; boundary=C`],
    [
      'a boundary that is too long',
      whole + END,
      '#header/content-type',
      /boundary/,
      `multipart/form-data; boundary=${'B'.repeat(300)}`,
    ],
    ['another boundary', whole + END, '#body', /boundary/, 'multipart/form-data; boundary=C'],
    ['lines that end in LF', (whole + END).replaceAll('\r\n', '\n'), '#body', /CRLF|boundary/],
    ['a missing end', whole, '#body', /last boundary/],
    ['a cut inside a part', whole.slice(0, -4), '#body', /last boundary/],
    ['a cut inside a header', `${SPEC}--B\r\nContent-Dispo`, '#body', /last boundary/],
    ['nothing', '', '#body', /no part/],
    ['only an end', END, '#part/spec', /required/],
    [
      'a part without Content-Disposition',
      `${whole}--B\r\nX: y\r\n\r\nbytes\r\n${END}`,
      '#body',
      /without readable headers/,
    ],
    [
      'a part that is an attachment',
      `${whole}--B\r\nContent-Disposition: attachment; name="evaluation"; filename="a"\r\n\r\nbytes\r\n${END}`,
      '#body',
      /without readable headers/,
    ],
    [
      'a header without its colon',
      `${whole}--B\r\nContent-Disposition\r\n\r\nbytes\r\n${END}`,
      '#body',
      /without readable headers/,
    ],
    ...['', 'X: y\r\n', 'Content-Disposition: attachment; name="evaluation"\r\n'].flatMap((headers): typeof cases => [
      [
        `a large part whose headers are ${JSON.stringify(headers)}`,
        `${whole}--B\r\n${headers}\r\n${'b'.repeat(300_000)}\r\n${END}`,
        '#body',
        /without readable headers/,
      ],
      [
        `the same as the first, ${JSON.stringify(headers)}`,
        `--B\r\n${headers}\r\n${'b'.repeat(300_000)}\r\n${whole}${END}`,
        '#body',
        /without readable headers/,
      ],
    ]),
    [
      'headers without an empty line',
      `${whole}--B\r\nContent-Disposition: form-data; name="evaluation"; filename="a"\r\n${END}`,
      '#body',
      /without readable headers/,
    ],
    [
      'more parts than there are',
      `${SPEC}${'abcdefghij'
        .split('')
        .map((name) => file(name))
        .join('')}${END}`,
      '#part/a',
      /not a known part/,
    ],
    [
      'a specification with a forbidden name',
      field('spec', '{"labels": {"__proto__": "x"}}') + END,
      '/labels/__proto__',
      /not taken as a name/,
    ],
    ['a specification that is no JSON', field('spec', '{"target"') + END, '#part/spec', /not JSON/],
    ['an empty specification', field('spec', '') + END, '#part/spec', /is empty/],
  ];
  test.each(cases)('%s', async (_, payload, pointer, detail, type) => {
    const before = await stored();
    const response = await send(payload, type);
    const { errors } = expectProblem(response, 400, 'invalid_request');
    expect(errors).toEqual([{ pointer, detail: expect.stringMatching(detail) as string }]);
    expect(await stored()).toEqual(before);
  });
});

test('what is broken is found wherever the body is cut into pieces', async () => {
  await service.app.listen({ host: '127.0.0.1', port: 0 });
  const url = service.app.listeningOrigin;
  const bytes = Buffer.from(`${whole}--B\r\nX: y\r\n\r\nbytes\r\n${END}`, 'latin1');
  for (const size of [1, 2, 3, 5, 7, 64]) {
    const body = new ReadableStream({
      start(controller) {
        for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.subarray(at, at + size));
        controller.close();
      },
    });
    const headers = { authorization: service.keys.all, 'content-type': TYPE };
    const request = { method: 'POST', headers, body, duplex: 'half' } as RequestInit;
    const response = await fetch(`${url}/jobs`, request);
    expect([response.status, await response.text()]).toEqual([
      400,
      expect.stringContaining('without readable headers'),
    ]);
  }
});

test('a specification is read the same as a field and as a JSON file', async () => {
  for (const type of ['application/json', 'text/plain', undefined]) {
    const { payload, headers } = form([
      {
        name: 'spec',
        content: '{"target": {"parameter_ratio": 4}, "__proto__": 1}',
        filename: 'spec.json',
        ...(type === undefined ? {} : { type }),
      },
    ]);
    const response = await service.call('POST', '/jobs', { payload, headers });
    expect(expectProblem(response, 400, 'invalid_request').errors?.[0]?.pointer).toBe('/__proto__');
  }
});

describe('a request is refused at its place:', () => {
  test.each([
    ['0000-01-01T00:00:00Z', /0001 to 9999/],
    ['0001-01-01T00:00:00+01:00', /0001 to 9999/],
    ['9999-12-31T23:59:59-01:00', /0001 to 9999/],
    ['2026-02-31T00:00:00Z', /must be a time/],
    ['2026-01-01', /must be a time/],
    ['2026-01-01T00:00:00+99:99', /must be a time/],
  ])('created_after=%s', async (time, detail) => {
    const response = await service.call('GET', `/jobs?created_after=${encodeURIComponent(time)}`);
    const { errors } = expectProblem(response, 400, 'invalid_request');
    expect(errors).toEqual([{ pointer: '#query/created_after', detail: expect.stringMatching(detail) as string }]);
  });
  test('days of usage that no database has', async () => {
    const response = await service.call('GET', '/usage?from=0000-01-01&to=0000-01-02');
    expect(expectProblem(response, 400, 'invalid_request').errors?.[0]?.pointer).toBe('#query/to');
  });
  test('a compressed body, before it is read', async () => {
    for (const [url, type] of [
      ['/jobs', 'application/json'],
      ['/jobs', TYPE],
      ['/uploads', 'application/octet-stream'],
    ] as const) {
      const headers = { 'content-type': type, 'content-encoding': 'gzip' };
      const response = await service.call('POST', url, { payload: 'not even gzip', headers });
      const { errors, detail } = expectProblem(response, 415, 'unsupported_media_type');
      expect(errors?.[0]?.pointer).toBe('#header/content-encoding');
      expect(detail).toMatch(/unpack it/);
    }
  });
  test('a body of another type, with the types there are', async () => {
    const response = await service.call('POST', '/jobs', { payload: 'a', headers: { 'content-type': 'text/plain' } });
    const { errors, detail } = expectProblem(response, 415, 'unsupported_media_type');
    expect(errors?.[0]?.pointer).toBe('#header/content-type');
    expect(detail).toBe('this call takes application/json or multipart/form-data; the Content-Type is text/plain');
  });
});

test.each([
  'text/event-stream;q=0',
  '*/*, text/event-stream;q=0',
  'application/json, text/event-stream;q=0.1',
  'text/*',
])('events with Accept: %s are a list', async (accept) => {
  const job = (await send(whole + END)).json<{ id: string }>().id;
  const response = await service.call('GET', `/jobs/${job}/events`, { headers: { accept } });
  expect([response.statusCode, response.headers['content-type']]).toEqual([
    200,
    expect.stringContaining('application/json'),
  ]);
});
