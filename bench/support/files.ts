import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import type { ServiceClient } from '../../test/support/service-client.js';

export interface JobFiles {
  model: string;
  calibration: string;
  evaluation: string;
}

const EXAMPLE = fileURLToPath(new URL('../../examples/fashion-mnist/', import.meta.url));

/** The model and data of a bench; those of the demonstration unless others are named. */
export function addFiles(command: Command): Command {
  return command
    .argument('[model]', 'the model', join(EXAMPLE, 'model.onnx'))
    .option('--calibration <file.npz>', 'its calibration data', join(EXAMPLE, 'calibration.npz'))
    .option('--evaluation <file.npz>', 'its evaluation data', join(EXAMPLE, 'evaluation.npz'));
}

export function filesOf(command: Command): JobFiles {
  const { calibration, evaluation } = command.opts<Omit<JobFiles, 'model'>>();
  const files = { model: String(command.processedArgs[0]), calibration, evaluation };
  for (const path of Object.values(files)) if (!existsSync(path)) throw new Error(`${path} is missing`);
  return files;
}

export async function uploadAll(client: ServiceClient, files: JobFiles) {
  return {
    model: { upload: await client.upload(files.model) },
    calibration: { upload: await client.upload(files.calibration) },
    evaluation: { upload: await client.upload(files.evaluation) },
  };
}

/** An effort, as the command line of the product takes it. */
export const readEffort = (text: string): string | number => (/^\d+$/.test(text) ? Number(text) : text);

/** `name=value` of a target, as the command line of the product takes it. */
export function readTarget(text: string): Record<string, number> {
  const [name, value] = text.split('=');
  if (!name || !Number.isFinite(Number(value))) throw new Error(`--target must be name=value, not ${text}`);
  return { [name]: Number(value) };
}
