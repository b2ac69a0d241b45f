import { describe, expect, it } from 'vitest';
import { Runner, loadModel } from '../../src/models/index.js';
import { InferenceSession } from 'onnxruntime-node';
import { encodeModel } from '../../src/models/ir/codec.js';
import { OPSET_MAX, OPSET_MIN } from '../../src/models/graph/validate.js';
import { LIMITS, build, node, proto, scratch, tensorOf, writeProto } from './graphs.js';

const sketch = (opset: number) => ({
  input: [3, 4, 4],
  opset,
  tensors: [tensorOf('w', [2, 3, 3, 3])],
  nodes: [node('Conv', ['x', 'w'], 'c'), node('Relu', ['c'], 'y')],
});

describe('operator sets', () => {
  it('from the oldest to the newest are loaded by the runtime', async () => {
    for (let opset = OPSET_MIN; opset <= OPSET_MAX; opset++) {
      const runner = await Runner.open(await build(sketch(opset)), { threads: 1 });
      await runner.release();
    }
  });

  it('newer than the newest are refused by the runtime too', async () => {
    await expect(InferenceSession.create(encodeModel(proto(sketch(OPSET_MAX + 1))))).rejects.toThrow(/opset/i);
  });

  it.each([OPSET_MIN - 1, OPSET_MAX + 1])('%i is refused', async (opset) => {
    await expect(build(sketch(opset))).rejects.toMatchObject({
      code: 'invalid_model',
      message: expect.stringContaining('opset') as string,
    });
  });

  it('decide, not the IR version: a newer stamp is lowered to what the runtime takes', async () => {
    const model = proto(sketch(17));
    const load = (irVersion: number) =>
      loadModel(writeProto({ ...model, irVersion }), { directory: scratch(), limits: LIMITS });
    for (const version of [3, 13, 14, 99]) {
      const runner = await Runner.open(await load(version), { threads: 1 });
      await runner.release();
    }
    expect((await load(99)).proto.irVersion).toBe(13);
    await expect(InferenceSession.create(encodeModel({ ...model, irVersion: 14 }))).rejects.toThrow(/IR version/);
  });
});
