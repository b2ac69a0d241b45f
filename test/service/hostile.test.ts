import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { form, type FormPart } from '../api/support/form.js';
import { node } from '../models/graphs.js';
import { filesBelow } from '../support/below.js';
import { until } from '../support/until.js';
import { follow, silent } from '../../src/cli/display/follow.js';
import {
  bytes,
  convNet,
  filled,
  lying,
  npz,
  pickled,
  renamed,
  SAMPLE,
  samples,
  shapeTensor,
  twoInputs,
  withExternalData,
  zip,
} from './hostile-files.js';
import { KEY, Stack } from './stack.js';

interface Problem {
  status: number;
  code: string;
  detail: string;
  errors?: { pointer: string; detail: string }[];
}

interface Files {
  model?: Buffer;
  modelName?: string;
  calibration?: Buffer;
  evaluation?: Buffer;
  spec?: object;
}

const GOOD = bytes(convNet());
const TARGET = { parameter_ratio: 2 };
const QUICK = { effort: 1, method: { samples: 256, max_iterations: 4 }, benchmark: { batch_sizes: [1] } };
const MEGABYTE = 2 ** 20;

let stack: Stack;
let calibration: Buffer;
beforeAll(async () => {
  calibration = await npz({ x: samples(32) });
  stack = await Stack.start();
  await nothingElseIsLeft();
});
afterAll(async () => {
  await stack.stop();
  await stack.remove();
});

/** Every file below the data directory that is not the database's. */
async function leftFiles(): Promise<string[]> {
  return (await filesBelow(stack.dataDir)).filter((name) => !name.startsWith('postgres'));
}

/** All that stays. Besides it there are files for a moment, which try whether a disk can be written to. */
const STAYS = ['storage/installation.json'];

const nothingElseIsLeft = () =>
  until('nothing else is left', async () => (await leftFiles()).every((name) => STAYS.includes(name)));

function submit({ model = GOOD, modelName = 'net.onnx', evaluation, spec = {}, ...files }: Files): Promise<Response> {
  const parts: FormPart[] = [
    { name: 'spec', content: JSON.stringify({ target: TARGET, ...QUICK, ...spec }) },
    { name: 'model', content: model, filename: modelName },
    { name: 'calibration', content: files.calibration ?? calibration, filename: 'samples.npz' },
    ...(evaluation === undefined ? [] : [{ name: 'evaluation', content: evaluation, filename: 'test.npz' }]),
  ];
  const { payload, headers } = form(parts);
  return fetch(`${stack.client.url}/jobs`, {
    method: 'POST',
    headers: { ...headers, authorization: `Bearer ${KEY}` },
    body: new Uint8Array(payload),
  });
}

async function problemOf(response: Response): Promise<Problem> {
  const text = await response.text();
  expect(response.headers.get('content-type'), text).toBe('application/problem+json');
  return JSON.parse(text) as Problem;
}

/** A refusal with this code that names the place and says what is wrong; nothing of our own disk in it. */
function expectRefusal(problem: Problem, [status, code, pointer, detail]: [number, string, RegExp, RegExp]): void {
  expect([problem.status, problem.code], JSON.stringify(problem)).toEqual([status, code]);
  expect(problem.errors?.map((error) => error.pointer).join(' ') ?? '', JSON.stringify(problem)).toMatch(pointer);
  expect(problem.detail).toMatch(detail);
  expect(JSON.stringify(problem)).not.toMatch(new RegExp(`${stack.dataDir}|onnxruntime_src|/node_modules/`));
}

describe('a hostile file is refused with its place and its fault, and costs nothing', () => {
  const bad: [string, () => Files | Promise<Files>, [number, string, RegExp, RegExp]][] = [
    ['an empty model', () => ({ model: Buffer.alloc(0) }), [400, 'invalid_request', /#part\/model/, /empty/]],
    [
      'a truncated model',
      () => ({ model: GOOD.subarray(0, GOOD.length / 2) }),
      [422, 'invalid_model', /#model/, /not a complete ONNX file/],
    ],
    [
      'a model that is a text',
      () => ({ model: Buffer.from('#!/bin/sh\nrm -rf /\n') }),
      [422, 'invalid_model', /#model/, /ONNX file/],
    ],
    [
      'calibration data that is a text',
      () => ({ calibration: Buffer.from('x = 1') }),
      [422, 'invalid_dataset', /#calibration/, /\.npz/],
    ],
    [
      'a small zip that expands a thousand times',
      async () => ({ modelName: 'net.zip', model: await zip({ 'net.onnx': Buffer.alloc(16 * MEGABYTE) }) }),
      [422, 'limit_exceeded', /#model/, /MAX_ARCHIVE_RATIO/],
    ],
    [
      'a zip that expands a thousand times and says that it does not',
      async () => ({
        modelName: 'net.zip',
        model: lying(await zip({ 'net.onnx': Buffer.alloc(16 * MEGABYTE) }), 1000),
      }),
      [422, 'invalid_archive', /#model/, /net\.onnx/],
    ],
    [
      'calibration data that expands a thousand times',
      async () => ({
        calibration: await npz({ x: { dims: [32, ...SAMPLE, 400], data: new Uint8Array(32 * 288 * 400) } }, true),
      }),
      [422, 'limit_exceeded', /#calibration/, /MAX_ARCHIVE_RATIO/],
    ],
    [
      'an archive with an entry above its folder',
      async () => ({
        modelName: 'net.zip',
        model: renamed(await zip({ 'net.onnx': GOOD, 'aaaaaa.bin': Buffer.alloc(8) }), 'aaaaaa.bin', '../../.bin'),
      }),
      [422, 'invalid_archive', /#model/, /outside|invalid relative path/],
    ],
    ...['../../etc/passwd', '/etc/passwd', '..', 'net.onnx'].map(
      (location): [string, () => Promise<Files>, [number, string, RegExp, RegExp]] => [
        `external data in ${location}`,
        async () => ({ modelName: 'net.zip', model: await zip({ 'net.onnx': withExternalData(location) }) }),
        [422, 'invalid_model', /#model\/initializer\/w0/, /only a plain file name/],
      ],
    ),
    [
      'external data that is shorter than its tensor',
      async () => ({
        modelName: 'net.zip',
        model: await zip({ 'net.onnx': withExternalData('w.bin'), 'w.bin': Buffer.alloc(100) }, false),
      }),
      [422, 'invalid_model', /#model\/initializer\/w0/, /w\.bin \(100 bytes\)/],
    ],
    [
      'external data without its file',
      () => ({ model: withExternalData('/etc/passwd') }),
      [422, 'invalid_model', /#model\/initializer\/w0/, /send a zip/],
    ],
    [
      'a NaN in the weights',
      () => ({ model: bytes(convNet({ change: (t) => (t[2] = filled('w1', [32, 32, 3, 3], Number.NaN)) })) }),
      [422, 'invalid_model', /#model\/initializer\/w1/, /NaN.*conv1/],
    ],
    [
      'weights of the wrong rank',
      () => ({ model: bytes(convNet({ change: (t) => (t[0] = filled('w0', [32, 8, 9], 1)) })) }),
      [422, 'invalid_model', /#model/, /ONNX Runtime cannot load the model/],
    ],
    [
      'an operator that does not exist',
      () => ({ model: bytes(convNet({ more: { nodes: [node('Explode', ['features'], 'y')], tensors: [] } })) }),
      [422, 'invalid_model', /#model/, /Explode/],
    ],
    [
      'a model that cannot run on any data',
      () => ({
        model: bytes(
          convNet({
            more: { nodes: [node('Reshape', ['features', 's'], 'y')], tensors: [shapeTensor('s', [7, 7])] },
          }),
        ),
      }),
      [422, 'invalid_model', /#model/, /does not run on an input of shape/],
    ],
    [
      'a model that asks for more memory than there is',
      () => ({
        model: bytes(
          convNet({
            more: {
              nodes: [
                node('ConstantOfShape', ['s'], 'huge'),
                node('ReduceSum', ['huge'], 'one'),
                node('Add', ['features', 'one'], 'y'),
              ],
              tensors: [shapeTensor('s', [1_000_000, 1_000_000])],
            },
          }),
        ),
      }),
      [422, 'invalid_model', /#model/, /4000000000000 bytes of memory/],
    ],
    ['a model with two inputs', () => ({ model: twoInputs() }), [422, 'invalid_dataset', /#calibration/, /second/]],
    [
      'samples of another shape than the input',
      async () => ({ calibration: await npz({ x: samples(32, [3, 6, 6]) }) }),
      [422, 'invalid_dataset', /#calibration\/x/, /\[32, 3, 6, 6\]/],
    ],
    [
      'a NaN in the samples',
      async () => ({ calibration: await npz({ x: samples(32, SAMPLE, (data) => (data[700] = Number.NaN)) }) }),
      [422, 'invalid_dataset', /#calibration\/x\/2/, /sample 2/],
    ],
    [
      'samples that are Python objects',
      async () => ({ calibration: await pickled() }),
      [422, 'invalid_dataset', /#calibration\/x/, /never loaded/],
    ],
    [
      'a label that is no class',
      async () => ({
        model: bytes(
          convNet({
            more: {
              nodes: [node('GlobalAveragePool', ['features'], 'pooled'), node('Flatten', ['pooled'], 'y')],
              tensors: [],
            },
          }),
        ),
        evaluation: await npz({ x: samples(4), y: { dims: [4], data: Int32Array.of(0, 1, 99, 2) } }),
      }),
      [422, 'invalid_dataset', /#evaluation\/y\/2/, /label 99/],
    ],
    [
      'labels for a model that gives a map',
      async () => ({ evaluation: await npz({ x: samples(4), y: { dims: [4], data: Int32Array.of(0, 1, 2, 3) } }) }),
      [422, 'invalid_dataset', /#evaluation\/y/, /without y, outputs are compared/],
    ],
    [
      'a target out of reach',
      () => ({ spec: { target: { parameter_ratio: 900 } } }),
      [422, 'unreachable_target', /\/target/, /900/],
    ],
    [
      'fields that the specification does not have',
      () => ({ spec: { gpu: true, method: { rank: 3 } } }),
      [422, 'invalid_spec', /\/gpu|\/method\/rank/, /known field/],
    ],
  ];

  it.each(bad)('%s', async (_, files, expected) => {
    expectRefusal(await problemOf(await submit(await files())), expected);
  });

  it('an upload that is not what its digest says', async () => {
    const digest = createHash('sha256').update('other').digest('base64');
    const response = await fetch(`${stack.client.url}/uploads`, {
      method: 'POST',
      headers: { authorization: `Bearer ${KEY}`, 'repr-digest': `sha-256=:${digest}:` },
      body: new Uint8Array(GOOD),
    });
    expectRefusal(await problemOf(response), [400, 'digest_mismatch', /#header\/repr-digest/, /Repr-Digest/]);
  });

  it.each(['/uploads', '/jobs'])('a body for %s that breaks off half-way', async (path) => {
    const { payload, headers } = form([{ name: 'model', content: Buffer.alloc(MEGABYTE), filename: 'net.onnx' }]);
    const sending = request(`${stack.client.url}${path}`, {
      method: 'POST',
      headers: {
        ...(path === '/jobs' ? headers : {}),
        authorization: `Bearer ${KEY}`,
        'content-length': payload.length,
      },
    });
    sending.on('error', () => undefined);
    sending.write(payload.subarray(0, payload.length / 2));
    await until('the beginning has arrived', async () => (await leftFiles()).length > STAYS.length);
    sending.destroy();
    await nothingElseIsLeft();
  });

  it('none of them left a file, a job or a line in the log that blames us, and no pickle was run', async () => {
    await nothingElseIsLeft();
    expect(await leftFiles()).toEqual(STAYS);
    expect((await stack.client.jobs({})).data).toEqual([]);
    expect(existsSync('/tmp/pickle-was-run')).toBe(false);
    expect(stack.log.split('\n').filter((line) => /"level":"?(error|fatal|50|60)/.test(line))).toEqual([]);
  });
});

describe('what shows only when the whole job runs fails the job, not the worker', () => {
  const late: [string, () => Buffer, RegExp][] = [
    [
      'weights that overflow',
      () =>
        bytes(
          convNet({
            change: (t) => {
              t[0] = filled('w0', [32, 8, 3, 3], 1e30);
              t[2] = filled('w1', [32, 32, 3, 3], 1e30);
            },
          }),
        ),
      /infinit|NaN|finite/i,
    ],
    [
      'a batch of two that is written into the graph',
      () =>
        bytes(
          convNet({
            more: { nodes: [node('Reshape', ['features', 's'], 'y')], tensors: [shapeTensor('s', [2, 1152])] },
          }),
        ),
      /does not run on an input of shape|batch/,
    ],
  ];

  it.each(late)('%s', async (_, model, detail) => {
    const response = await submit({ model: model() });
    if (response.status !== 202) {
      // Seen before the job was taken: as good.
      const problem = await problemOf(response);
      expect(problem.status, JSON.stringify(problem)).toBe(422);
      expect(problem.detail).toMatch(detail);
      return;
    }
    const { id } = (await response.json()) as { id: string };
    const job = await follow(stack.sparank, id, silent);
    expect(job.status).toBe('failed');
    expect(job.error, JSON.stringify(job.error)).toMatchObject({ origin: 'input' });
    expect(job.error?.detail).toMatch(detail);
    expect((await stack.tasks(id)).every(({ attempt }) => attempt <= 1)).toBe(true);
  });

  it('after all of it the same workers finish a good job', async () => {
    const response = await submit({});
    expect(response.status).toBe(202);
    const { id } = (await response.json()) as { id: string };
    const job = await follow(stack.sparank, id, silent);
    expect([job.status, job.error]).toEqual(['succeeded', null]);
    expect(job.metrics?.parameters.ratio).toBeGreaterThanOrEqual(2);
    expect(stack.running()).toEqual([true, true, true]);
    await until('no scratch file is left', async () => !(await leftFiles()).some((name) => name.startsWith('scratch')));
  });
});
