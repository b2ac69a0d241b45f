import { BUDGETS } from '../../cost/budgets.js';
import { probeWorks, type Counted } from '../../cost/work.js';

/** What the network is asked about every layer, and over how many of the first calibration images. */
export interface ProbePlan {
  images: number;
  /** Errors of the layer itself at which a limited rank is looked at; the curve is interpolated between them. */
  layerErrors: readonly number[];
  /** The same for narrow first convolutions, of each shape. */
  tapErrors: readonly number[];
}

interface Detail extends Omit<ProbePlan, 'images'> {
  /** With fewer images, the next detail is better. */
  leastImages: number;
}

const DETAILS: readonly [Detail, ...Detail[]] = [
  { layerErrors: [0.5, 0.25, 0.1, 0.03, 0.008], tapErrors: [0.2, 0.05, 0.01], leastImages: 8 },
  { layerErrors: [0.3, 0.08, 0.015], tapErrors: [0.2, 0.02], leastImages: 4 },
  { layerErrors: [0.2, 0.02], tapErrors: [0.06], leastImages: 1 },
];
const MAX_IMAGES = 128;

/** Multiply-accumulates of one image through everything behind every layer, once for each of its probes. */
export const probeWork = (layers: readonly Counted[], errors: Pick<ProbePlan, 'layerErrors' | 'tapErrors'>): number =>
  probeWorks(layers, errors).reduce((sum, work) => sum + work, 0);

/**
 * As many probes as the work allows, over as many images: the number of runs grows with the square of the depth.
 * Counted and not timed, so that a job comes to the same plan on every machine.
 *
 * @param images that there are
 * @param batch images of one run. Whole runs are made where that keeps within twice the work.
 * @param fixed whether the network takes no other number
 */
export function planProbes(layers: readonly Counted[], images: number, batch: number, fixed: boolean): ProbePlan {
  const least = fixed ? batch : 1;
  const possible = (count: number): number => (fixed ? count - (count % batch) : count);
  for (const detail of DETAILS) {
    const affordable = Math.floor(BUDGETS.probes / Math.max(1, probeWork(layers, detail)));
    if (affordable < Math.max(detail.leastImages, least) && detail !== DETAILS.at(-1)) continue;
    const whole = Math.round(affordable / batch) * batch;
    const { layerErrors, tapErrors } = detail;
    const most = Math.min(possible(images), possible(MAX_IMAGES));
    return { images: Math.max(least, Math.min(most, whole || affordable)), layerErrors, tapErrors };
  }
  throw new RangeError('no detail of probes');
}
