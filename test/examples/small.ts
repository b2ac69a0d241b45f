import { join } from 'node:path';
import { writeNpz } from '../../src/datasets/index.js';
import { makeInts } from '../../src/models/ir/attributes.js';
import { node, noise, proto, tensorOf, writeProto } from '../models/graphs.js';

const CHANNELS = [24, 32];
const INPUT = [4, 8, 8];
const SAMPLES = 128;

/** A network that is compressed in a moment, and samples for it. */
export async function writeSmall(directory: string): Promise<{ model: string; calibration: string }> {
  const [first = 0, side = 0] = INPUT;
  const nodes = [];
  const tensors = [];
  let [channels, input] = [first, 'x'];
  for (const [i, out] of CHANNELS.entries()) {
    const last = i === CHANNELS.length - 1;
    tensors.push(tensorOf(`w${i}`, [out, channels, 3, 3], i + 1), tensorOf(`b${i}`, [out], i + 50));
    nodes.push(node('Conv', [input, `w${i}`, `b${i}`], `c${i}`, [makeInts('pads', [1, 1, 1, 1])], `conv${i}`));
    input = last ? 'y' : `a${i}`;
    nodes.push(node('Relu', [`c${i}`], input));
    channels = out;
  }
  const model = writeProto(proto({ nodes, tensors, input: INPUT }), directory);
  const calibration = join(directory, 'calibration.npz');
  const data = noise(SAMPLES * first * side * side, 3);
  await writeNpz(calibration, { x: { dims: [SAMPLES, ...INPUT], data } });
  return { model, calibration };
}
