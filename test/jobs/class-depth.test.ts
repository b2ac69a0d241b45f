import { expect, it } from 'vitest';
import { depthByClass, type TaskGroup } from '../../src/scheduling/class-depth.js';
import { byOffer, workerClassOf, type Offer } from '../../src/scheduling/worker-classes.js';

const cpu: Offer = { engine: 'onnxruntime', class: null, deviceMemoryBytes: 0 };
const labelled: Offer = { ...cpu, class: 'big' };
const gpu: Offer = { engine: 'webgpu', class: null, deviceMemoryBytes: 80 * 2 ** 30 };
const classes = [gpu, cpu, labelled].sort(byOffer);

const depth = (groups: TaskGroup[], offers = classes) =>
  Object.fromEntries(
    depthByClass(groups, offers)
      .filter(({ count }) => count > 0)
      .map((one) => [`${one.device}/${one.class}/${one.state}`, one.count]),
  );
const waiting = (needs: TaskGroup['needs'], count: number): TaskGroup => ({
  state: 'waiting',
  workerClass: '',
  needs,
  count,
});

it('what waits is counted where it will run, what is released where it is', () => {
  expect(
    depth([
      waiting(null, 5),
      waiting({ engine: 'webgpu' }, 3),
      waiting({ device_memory_bytes: 2 ** 30 }, 4),
      waiting({ class: 'big' }, 2),
      { state: 'released', workerClass: workerClassOf(gpu), needs: null, count: 1 },
      { state: 'running', workerClass: workerClassOf(labelled), needs: { class: 'big' }, count: 6 },
      { state: 'running', workerClass: '', needs: null, count: 7 },
    ]),
  ).toEqual({
    'cpu//waiting': 5,
    'gpu//waiting': 7,
    'cpu/big/waiting': 2,
    'gpu//released': 1,
    'cpu/big/running': 6,
    'cpu//running': 7,
  });
});

it('what no live worker can run is counted for the kind that it asks for, and never under the name that a client gave', () => {
  expect(
    depth(
      [
        waiting({ engine: 'tensorflow' }, 1),
        waiting({ device_memory_bytes: 1, class: 'mine' }, 2),
        waiting({ class: 'mine' }, 3),
        waiting({ engine: 'onnxruntime', class: 'mine' }, 4),
        waiting(null, 5),
        { state: 'running', workerClass: workerClassOf({ ...gpu, class: 'gone' }), needs: null, count: 6 },
      ],
      [],
    ),
  ).toEqual({
    'gpu//waiting': 1,
    'gpu/other/waiting': 2,
    'unknown/other/waiting': 3,
    'cpu/other/waiting': 4,
    'cpu//waiting': 5,
    'gpu/gone/running': 6,
  });
});

it('a kind of workers without tasks is zero, so that it can be scaled down', () => {
  const zeros = depthByClass([], classes).map((one) => `${one.device}/${one.class}/${one.state} ${one.count}`);
  expect(zeros.sort()).toEqual(
    ['cpu/', 'cpu/big', 'gpu/']
      .flatMap((place) => ['released', 'running', 'waiting'].map((state) => `${place}/${state} 0`))
      .sort(),
  );
});
