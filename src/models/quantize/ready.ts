import { raiseOpset } from '../passes/raise-opset.js';
import { slicedSplits } from '../passes/slice-splits.js';
import type { Model } from '../ir/model.js';
import { elementCount, tensorDims } from '../ir/tensors.js';
import { toIntegers } from './apply.js';
import { foldPads } from './fold-pads.js';
import { planIntegers } from './plan.js';
import { rectifyFirst } from './rectifiers.js';

/** The same network in the form in which integers can be put into it, with as few ways over float32 as can be. */
export const readyForIntegers = (model: Model): Model => rectifyFirst(slicedSplits(foldPads(raiseOpset(model))));

/** Of a tensor whose values do not matter; the limits of rectifiers lie within. */
const ANY_RANGE = { low: 0, high: 1 };

/** The network computing with integers that mean nothing: as fast as with those that calibration would give it. */
export function placeholderIntegers(model: Model): Model {
  const float = readyForIntegers(model);
  const { layers, tensors } = planIntegers(float);
  const ranges = new Map([...tensors.values()].map((name) => [name, ANY_RANGE]));
  const coded = new Map(
    layers.flatMap(({ name, first, weight, m }) =>
      weight === null
        ? []
        : [
            [
              first ?? name,
              { values: new Int8Array(elementCount(tensorDims(weight))), scales: new Float32Array(m).fill(1) },
            ],
          ],
    ),
  );
  return toIntegers(float, { ranges, energies: new Map(), coded });
}
