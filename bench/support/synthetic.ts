import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { normals, seededRandom } from '../../src/compression/linalg/random.js';
import { writeNpz } from '../../src/datasets/index.js';
import { makeInts, makeNode } from '../../src/models/ir/attributes.js';
import { encodeModel } from '../../src/models/ir/codec.js';
import { DataType, type NodeProto, type TensorProto, type ValueInfoProto } from '../../src/models/ir/messages.js';
import { floatTensor } from '../../src/models/ir/tensors.js';
import type { JobFiles } from './files.js';

const SIDE = 8;
const COLOURS = 3;
const CLASSES = 10;
const CALIBRATION_IMAGES = 512;
const EVALUATION_IMAGES = 128;

const count = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);

function floatPort(name: string, shape: readonly number[]): ValueInfoProto {
  const dim = [{ dimParam: 'batch' }, ...shape.map((dimValue) => ({ dimValue }))];
  return { name, type: { tensorType: { elemType: DataType.FLOAT, shape: { dim } } } };
}

/**
 * A chain of `layers` convolutions of 3x3 with `channels` channels and ReLUs, random weights, on random images: its job
 * costs what its shape costs.
 */
export async function writeSynthetic(folder: string, layers: number, channels: number): Promise<JobFiles> {
  const random = seededRandom(layers * 1000 + channels);
  const tensors: TensorProto[] = [];
  const nodes: NodeProto[] = [];
  const add = (name: string, dims: number[], scale: number): string => {
    tensors.push(
      floatTensor(
        name,
        dims,
        normals(count(dims), random).map((x) => scale * x),
      ),
    );
    return name;
  };
  const node = (op: string, inputs: string[], output: string, attributes: NodeProto['attribute'] = []): string => {
    nodes.push(makeNode(op, output, inputs, [output], attributes));
    return output;
  };
  let at = 'x';
  for (let i = 0; i < layers; i++) {
    const inputs = i === 0 ? COLOURS : channels;
    const weights = add(`w${String(i)}`, [channels, inputs, 3, 3], Math.sqrt(2 / (9 * inputs)));
    const shape = [makeInts('kernel_shape', [3, 3]), makeInts('pads', [1, 1, 1, 1])];
    at = node('Conv', [at, weights, add(`b${String(i)}`, [channels], 0.1)], `conv${String(i)}`, shape);
    at = node('Relu', [at], `relu${String(i)}`);
  }
  at = node('Flatten', [node('GlobalAveragePool', [at], 'pool')], 'flat');
  node('Gemm', [at, add('w', [channels, CLASSES], 1 / Math.sqrt(channels)), add('b', [CLASSES], 0.1)], 'y');

  const files = {
    model: join(folder, `chain-${String(layers)}-${String(channels)}.onnx`),
    calibration: join(folder, 'calibration.npz'),
    evaluation: join(folder, 'evaluation.npz'),
  };
  const graph = {
    name: 'chain',
    node: nodes,
    initializer: tensors,
    input: [floatPort('x', [COLOURS, SIDE, SIDE])],
    output: [floatPort('y', [CLASSES])],
    valueInfo: [],
  };
  const opsetImport = [{ domain: '', version: 17 }];
  await writeFile(files.model, encodeModel({ irVersion: 8, opsetImport, producerName: 'bench', graph }));
  const images = (n: number) => {
    const dims = [n, COLOURS, SIDE, SIDE];
    return { dims, data: normals(count(dims), random) };
  };
  await writeNpz(files.calibration, { x: images(CALIBRATION_IMAGES) });
  await writeNpz(files.evaluation, { x: images(EVALUATION_IMAGES) });
  return files;
}
