/** Writes a thin ResNet-50 with random weights and its data, for the time of jobs. `npx tsx bench/residual.ts FOLDER`; see --help. */
import { mkdirSync } from 'node:fs';
import { Command } from 'commander';
import { THIN_RESNET_50, writeResidual } from './elsewhere/residual.js';
import { note } from './support/table.js';

const command = new Command('bench/residual.ts')
  .argument('<folder>', 'for model.onnx, calibration.npz and evaluation.npz')
  .option('--width <n>', 'channels behind the first convolution', String(THIN_RESNET_50.width))
  .option('--side <n>', 'of the pictures', String(THIN_RESNET_50.side))
  .option('--calibration <n>', 'pictures', '160')
  .option('--evaluation <n>', 'pictures', '32')
  .option('--transposes-everywhere', 'around every convolution')
  .parse();
const options = command.opts<{
  width: string;
  side: string;
  calibration: string;
  evaluation: string;
  transposesEverywhere?: true;
}>();
const folder = String(command.processedArgs[0]);
mkdirSync(folder, { recursive: true });
await writeResidual(
  folder,
  {
    ...THIN_RESNET_50,
    width: Number(options.width),
    side: Number(options.side),
    everywhere: options.transposesEverywhere ?? false,
  },
  { calibration: Number(options.calibration), evaluation: Number(options.evaluation) },
);
note(`written to ${folder}`);
