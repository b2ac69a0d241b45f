import { describe, expect, it } from 'vitest';
import { Runner, denseWeights, listLayers, prepare, samplePatches, type FloatTensor } from '../../src/models/index.js';
import { batchOf, build } from './graphs.js';
import { TOPOLOGIES } from './topologies.js';

describe.each(Object.entries(TOPOLOGIES))('patches of %s', (_, sketch) => {
  it('times the weights give the responses of the network', async () => {
    const model = prepare(await build(sketch));
    const x = batchOf(sketch.input, 3);
    const { layers } = await listLayers(model, x, { threads: 1 });
    const capture = layers.flatMap(({ input, output }) => [input, output]).filter((name) => name !== 'x');
    const runner = await Runner.open(model, { threads: 1, capture });
    const values = await runner.run(x);
    values.set('x', x);
    await runner.release();
    for (const layer of layers) {
      const { weights, bias } = denseWeights(model, layer);
      const output = values.get(layer.output);
      expect(output?.data.length).toBe(3 * layer.positions * layer.m);
      const images: number[] = [];
      const positions: number[] = [];
      for (let image = 0; image < 3; image++) {
        for (let place = 0; place < layer.positions; place++) {
          images.push(image);
          positions.push(place);
        }
      }
      const patches = samplePatches(values.get(layer.input) as FloatTensor, layer, { images, positions });
      expect(patches.length).toBe(images.length * layer.d);
      images.forEach((image, row) => {
        const place = positions[row] ?? 0;
        for (let j = 0; j < layer.m; j++) {
          let sum = bias[j] ?? 0;
          for (let k = 0; k < layer.d; k++) sum += (weights[j * layer.d + k] ?? 0) * (patches[row * layer.d + k] ?? 0);
          const at =
            layer.op === 'Conv'
              ? (image * layer.m + j) * layer.positions + place
              : (image * layer.positions + place) * layer.m + j;
          expect(Math.abs(sum - Number(output?.data[at]))).toBeLessThan(1e-4);
        }
      });
    }
  });
});
