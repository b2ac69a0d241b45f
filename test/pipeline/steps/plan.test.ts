import { describe, expect, it } from 'vitest';
import type { PlannedPoint } from '../../../src/jobs/tasks.js';
import { RANK, StepRig } from './rig.js';

const PARAMETERS = 4643;
const MACS = 105_408;
const after = ({ layers }: PlannedPoint, of: 'parameters' | 'macs') =>
  layers.reduce((sum, row) => sum + row[of].after, 0);

async function planned(spec: Record<string, unknown>): Promise<PlannedPoint[]> {
  const rig = await StepRig.open(spec);
  await rig.run('inspect');
  return (await rig.run('plan')).result.points;
}

describe('the step plan, on two planted convolutions, a depthwise one and a classifier', () => {
  it('takes from the layer that loses nothing by it, at its planted rank, and leaves the others dense, with the reason', async () => {
    const [point] = await planned({ target: { parameter_ratio: 1.5 } });
    expect(point?.allocations).toEqual([{ index: 1, shape: 'channel', rank: RANK, inner: 0, groups: 0 }]);
    const rows = point?.layers.map(({ name, decision, reason }) => [name, decision, reason]);
    const elsewhere = 'the target is met at less loss in other layers';
    expect(rows).toEqual([
      ['first', 'dense', elsewhere],
      ['second', 'compressed', null],
      ['depthwise', 'dense', 'depthwise convolution'],
      ['classifier', 'dense', elsewhere],
    ]);
  });

  it('reaches every target of a job, and takes more from the network the more is asked', async () => {
    const ratios = [1.5, 3, 5];
    const points = await planned({
      target: undefined,
      targets: ratios.map((parameter_ratio) => ({ parameter_ratio })),
    });
    expect(points.map(({ point, error }) => [point, error])).toEqual(ratios.map((_, i) => [i + 1, null]));
    const sizes = points.map((point) => after(point, 'parameters'));
    for (const [i, ratio] of ratios.entries()) expect(sizes[i]).toBeLessThanOrEqual(PARAMETERS / ratio);
    expect(sizes).toEqual(sizes.toSorted((a, b) => b - a));
    for (const { allocations, layers } of points) {
      const compressed = layers.filter(({ decision }) => decision === 'compressed').map(({ index }) => index);
      expect(allocations.map(({ index }) => index)).toEqual(compressed);
    }
  });

  it('counts multiply-accumulates where those are asked for', async () => {
    const [point] = await planned({ target: { mac_ratio: 4 } });
    expect(point && after(point, 'macs')).toBeLessThanOrEqual(MACS / 4);
  });

  it('leaves layers alone that the job excludes', async () => {
    const [point] = await planned({ target: { parameter_ratio: 1.5 }, method: { layers: { exclude: ['second'] } } });
    expect(point?.allocations.map(({ index }) => index)).not.toContain(1);
    expect(point && after(point, 'parameters')).toBeLessThanOrEqual(PARAMETERS / 1.5);
  });
});
