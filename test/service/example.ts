import { join } from 'node:path';
import { makeInts } from '../../src/models/ir/attributes.js';
import { writeNpz } from '../../src/datasets/index.js';
import { node, noise, proto, tensorOf, writeProto } from '../models/graphs.js';

/** A network whose layers take long enough to be caught in the middle of one. */
const CHANNELS = [48, 64, 64, 64];
const SIDE = 12;

export async function writeExample(directory: string): Promise<{ model: string; calibration: string }> {
  let channels = 8;
  let input = 'x';
  const nodes = [];
  const tensors = [];
  for (const [i, out] of CHANNELS.entries()) {
    const weights = tensorOf(`w${i}`, [out, channels, 3, 3], i + 1);
    tensors.push(weights, tensorOf(`b${i}`, [out], i + 50));
    nodes.push(node('Conv', [input, `w${i}`, `b${i}`], `c${i}`, [makeInts('pads', [1, 1, 1, 1])], `conv${i}`));
    input = i === CHANNELS.length - 1 ? 'y' : `a${i}`;
    nodes.push(node('Relu', [`c${i}`], input));
    channels = out;
  }
  const model = writeProto(proto({ nodes, tensors, input: [8, SIDE, SIDE] }), directory);
  const calibration = join(directory, 'calibration.npz');
  const data = noise(256 * 8 * SIDE * SIDE, 3);
  await writeNpz(calibration, { x: { dims: [256, 8, SIDE, SIDE], data } });
  return { model, calibration };
}
