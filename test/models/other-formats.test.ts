import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { zipOf } from '../../bench/fuzz/zip.js';
import { encodeNpy, openDataset } from '../../src/datasets/index.js';
import { InputError } from '../../src/errors/index.js';
import { loadModel } from '../../src/models/index.js';
import { encodeModel } from '../../src/models/ir/codec.js';
import { LIMITS, node, proto, scratch, tensorOf } from './graphs.js';

/** Files of other programs are called by their name, with what to do: nobody knows what an "invalid wire type" is. */

const latin1 = (text: string) => Buffer.from(text, 'latin1');
const zip = (...names: string[]) =>
  zipOf(names.map((name) => ({ name, data: Buffer.from('content'), deflate: false })));
const json = (value: object) => Buffer.from(JSON.stringify(value));
const field = (number: number, bytes: Buffer) => {
  const tag = number * 8 + 2;
  const varint = tag < 128 ? [tag] : [(tag & 127) | 128, tag >> 7];
  return Buffer.concat([Buffer.from([...varint, bytes.length]), bytes]);
};
const safetensors = () => {
  const header = json({ w: { dtype: 'F32', shape: [1], data_offsets: [0, 4] } });
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, Buffer.alloc(4)]);
};
const model = () =>
  Buffer.from(
    encodeModel(
      proto({ input: [3, 4, 4], tensors: [tensorOf('w', [2, 3, 3, 3])], nodes: [node('Conv', ['x', 'w'], 'y')] }),
    ),
  );
const array = encodeNpy({ dims: [2, 3], data: new Float32Array(6) });

const TORCH = /torch\.onnx\.export/;
const TF2ONNX = /tf2onnx\.convert/;
const FORMATS: [string, () => Buffer, RegExp, RegExp][] = [
  ['PyTorch', () => zip('model/data.pkl', 'model/version', 'model/data/0'), /a PyTorch file/, TORCH],
  ['TorchScript', () => zip('m/data.pkl', 'm/code/a.py', 'm/constants.pkl'), /a TorchScript file/, TORCH],
  ['PyTorch before 1.6', () => latin1('\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.'), /PyTorch/, TORCH],
  ['torch.export', () => zip('m/archive_format', 'm/models/model.json'), /torch\.export/, TORCH],
  ['a pickle', () => latin1('\x80\x04\x95\x19\0\0\0'), /a Python pickle/, /export/],
  ['Keras .h5', () => latin1('\x89HDF\r\n\x1a\n\0\0'), /HDF5.*Keras/, TF2ONNX],
  ['Keras .keras', () => zip('metadata.json', 'config.json', 'model.weights.h5'), /a Keras file/, /model\.export/],
  ['TensorFlow Lite', () => latin1('\x1c\0\0\0TFL3\x14\0'), /TensorFlow Lite/, /--tflite/],
  [
    'a SavedModel',
    () => Buffer.concat([Buffer.from([8, 1]), field(2, latin1('serve'))]),
    /SavedModel/,
    /--saved-model/,
  ],
  [
    'a SavedModel in a zip',
    () => zip('m/saved_model.pb', 'm/variables/variables.index'),
    /SavedModel/,
    /--saved-model/,
  ],
  [
    'a frozen graph',
    () => field(1, Buffer.concat([field(1, latin1('input')), field(2, latin1('Placeholder'))])),
    /frozen TensorFlow graph/,
    /--graphdef/,
  ],
  [
    'TensorFlow.js',
    () => json({ format: 'layers-model', generatedBy: 'keras', modelTopology: {}, weightsManifest: [] }),
    /TensorFlow\.js/,
    /zip of it and of the shards/,
  ],
  ['safetensors', safetensors, /safetensors.*weights without a network/, /export/],
  [
    'Core ML',
    () => Buffer.concat([Buffer.from([8, 1]), field(2, field(1, latin1('x'))), field(500, latin1('relu'))]),
    /Core ML/,
    /export/,
  ],
  ['a Core ML package', () => zip('m.mlpackage/Data/com.apple.CoreML/model.mlmodel'), /Core ML/, /export/],
  ['OpenVINO', () => latin1('<?xml version="1.0"?>\n<net name="a" version="11">'), /OpenVINO/, /export/],
  ['gzip', () => gzipSync(model()), /a gzip file/, /unpack it/],
  [
    'a pointer of Git LFS',
    () => latin1('version https://git-lfs.github.com/spec/v1\noid sha256:0'),
    /Git LFS/,
    /git lfs pull/,
  ],
  ['a page', () => latin1('<!DOCTYPE html><html>'), /HTML/, /fetch the file/],
  ['samples', () => zip('x.npy', 'y.npy'), /an \.npz file of samples/, /mixed up/],
  ['an array', () => array, /a NumPy array/, /\.onnx/],
];

function written(bytes: Buffer): string {
  const path = join(scratch(), 'file');
  writeFileSync(path, bytes);
  return path;
}
async function refusal(work: Promise<unknown>): Promise<InputError> {
  const error: unknown = await work.then(
    () => null,
    (cause: unknown) => cause,
  );
  if (!(error instanceof InputError)) throw new Error('it was not refused', { cause: error });
  return error;
}
const asModel = (bytes: Buffer) => refusal(loadModel(written(bytes), { directory: scratch(), limits: LIMITS }));
const asSamples = (bytes: Buffer) =>
  refusal(
    openDataset(written(bytes), { directory: scratch(), limits: { ...LIMITS, maxSamples: 10 }, what: 'calibration' }),
  );

describe('as a model', () => {
  it.each(FORMATS)('%s is called by its name', async (_, make, name, todo) => {
    const { message, code, faults } = await asModel(make());
    expect(message).toMatch(name);
    expect(message).toMatch(todo);
    expect(message).toMatch(/^this is .*, not an ONNX file: /);
    expect([code, faults]).toEqual(['invalid_model', [{ pointer: '#model', detail: message }]]);
  });

  it('a damaged ONNX file is called that', async () => {
    expect((await asModel(model().subarray(0, 100))).message).toMatch(/^not a complete ONNX file/);
  });

  it('an ONNX file is read whatever the program that wrote it is called', async () => {
    // What begins as a TensorFlow Lite file does.
    const named = {
      ...proto({ input: [3, 4, 4], tensors: [tensorOf('w', [2, 3, 3, 3])], nodes: [node('Conv', ['x', 'w'], 'y')] }),
      producerName: 'TFL3',
    };
    const bytes = Buffer.from(encodeModel(named));
    expect(bytes.toString('latin1', 4, 8)).toBe('TFL3');
    await expect(loadModel(written(bytes), { directory: scratch(), limits: LIMITS })).resolves.toMatchObject({
      format: 'onnx',
    });
  });
});

describe('as samples', () => {
  it.each<[string, () => Buffer, RegExp]>([
    ['PyTorch', () => zip('a/data.pkl'), /a PyTorch file.*numpy\.savez/],
    ['a pickle', () => latin1('\x80\x05\x95'), /a Python pickle.*numpy\.savez/],
    ['HDF5', () => latin1('\x89HDF\r\n\x1a\n'), /HDF5.*numpy\.savez/],
    ['Parquet', () => latin1('PAR1'), /Parquet.*numpy\.savez/],
    ['a picture', () => latin1('\x89PNG\r\n'), /PNG.*numpy\.savez/],
    ['gzip', () => gzipSync('x'), /gzip.*unpack/],
    ['a model', model, /an ONNX model.*mixed up/],
    ['a model in a zip', () => zip('model.onnx', 'weights'), /an ONNX model.*mixed up/],
  ])('%s is called by its name', async (_, make, text) => {
    const { message, faults } = await asSamples(make());
    expect(message).toMatch(text);
    expect(message).toMatch(/^calibration: this is .*, not an \.npz file: /);
    expect(faults[0]?.pointer).toBe('#calibration');
  });
});
