import { expect, it } from 'vitest';
import { createEngine } from '../../src/engines/index.js';
import { InfrastructureError } from '../../src/errors/index.js';
import { conformance } from './conformance.js';

conformance(
  'onnxruntime',
  () => createEngine('onnxruntime', { threads: 1 }),
  (engine) => expect(engine).toMatchObject({ name: 'onnxruntime', device: 'cpu', threads: 1 }),
);

const gpuPackage = await import('@tensorflow/tfjs-node-gpu' as string).then(
  () => true,
  () => false,
);

it('names the missing package when tensorflow is asked for and not installed', async () => {
  if (gpuPackage) {
    const engine = await createEngine('tensorflow', { threads: 1 });
    expect(engine.name).toBe('tensorflow');
    return engine.dispose();
  }
  const failure = createEngine('tensorflow', { threads: 1 });
  await expect(failure).rejects.toThrow(InfrastructureError);
  await expect(failure).rejects.toThrow(/@tensorflow\/tfjs-node-gpu/);
});

it('takes a usable engine by itself', async () => {
  const engine = await createEngine('auto', { threads: 1 });
  if (!gpuPackage) expect(engine.name).toBe('onnxruntime');
  await engine.dispose();
});
