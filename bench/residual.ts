/**
 * Writes a thin ResNet-50 or a ResNet-56 with random weights and its data, for the time of jobs and the speed of what
 * they make. `npx tsx bench/residual.ts FOLDER`; see --help.
 */
import { mkdirSync } from 'node:fs';
import { Command } from 'commander';
import { RESNET_56, THIN_RESNET_50, writeResidual } from './elsewhere/residual.js';
import { note } from './support/table.js';

const command = new Command('bench/residual.ts')
  .argument('<folder>', 'for model.onnx, calibration.npz and evaluation.npz')
  .option('--resnet-56', 'of two convolutions a block, for pictures of 32 x 32')
  .option('--width <n>', 'channels behind the first convolution')
  .option('--side <n>', 'of the pictures')
  .option('--calibration <n>', 'pictures', '160')
  .option('--evaluation <n>', 'pictures', '32')
  .option('--transposes-everywhere', 'around every convolution')
  .parse();
const options = command.opts<{
  resnet56?: true;
  width?: string;
  side?: string;
  calibration: string;
  evaluation: string;
  transposesEverywhere?: true;
}>();
const base = options.resnet56 ? RESNET_56 : THIN_RESNET_50;
const folder = String(command.processedArgs[0]);
mkdirSync(folder, { recursive: true });
await writeResidual(
  folder,
  {
    ...base,
    width: Number(options.width ?? base.width),
    side: Number(options.side ?? base.side),
    everywhere: options.transposesEverywhere ?? false,
  },
  { calibration: Number(options.calibration), evaluation: Number(options.evaluation) },
);
note(`written to ${folder}`);
