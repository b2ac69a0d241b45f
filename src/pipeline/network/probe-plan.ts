import { LOW_RANK_SHAPES, type Layer } from '../../models/index.js';

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
/** Shapes that narrow the input. */
const TAP_SHAPES = Object.values(LOW_RANK_SHAPES).filter(({ narrows }) => narrows !== 'output').length;
/** For the work of all suffix runs of one job, in multiply-accumulates (about 20 s on two cores). */
const WORK_MACS = 8e11;
const MAX_IMAGES = 128;
/** What an element of a feature map costs to write, and to put through an activation, in multiply-accumulates. */
const ELEMENT_MACS = 40;

type Measured = Pick<Layer, 'macs' | 'm' | 'positions' | 'blocked' | 'd' | 'channels'>;

/** Work of one layer on one image, in multiply-accumulates. */
const workOf = ({ macs, m, positions }: Pick<Layer, 'macs' | 'm' | 'positions'>): number =>
  macs + ELEMENT_MACS * m * positions;

/** Work of one image through all layers, in multiply-accumulates. */
export const passWork = (layers: readonly Pick<Layer, 'macs' | 'm' | 'positions'>[]): number =>
  layers.reduce((sum, layer) => sum + workOf(layer), 0);

/** Multiply-accumulates of one image through everything behind every layer, once for each of its probes. */
export function probeWork(
  layers: readonly Measured[],
  { layerErrors, tapErrors }: Pick<ProbePlan, 'layerErrors' | 'tapErrors'>,
): number {
  let rest = passWork(layers);
  let work = 0;
  for (const layer of layers) {
    const { blocked, d, channels } = layer;
    rest -= workOf(layer);
    if (blocked !== null) continue;
    work += rest * (layerErrors.length + (d > channels ? TAP_SHAPES * tapErrors.length : 0));
  }
  return work;
}

/**
 * As many probes as the work allows, over as many images: the number of runs grows with the square of the depth. Counted and
 * not timed, so that a job comes to the same plan on every machine.
 *
 * @param images that there are
 * @param batch images of one run. Whole runs are made where that keeps within twice the work.
 * @param fixed whether the network takes no other number
 */
export function planProbes(layers: readonly Measured[], images: number, batch: number, fixed: boolean): ProbePlan {
  const least = fixed ? batch : 1;
  const possible = (count: number): number => (fixed ? count - (count % batch) : count);
  for (const detail of DETAILS) {
    const affordable = Math.floor(WORK_MACS / Math.max(1, probeWork(layers, detail)));
    if (affordable < Math.max(detail.leastImages, least) && detail !== DETAILS.at(-1)) continue;
    const whole = Math.round(affordable / batch) * batch;
    const { layerErrors, tapErrors } = detail;
    const most = Math.min(possible(images), possible(MAX_IMAGES));
    return { images: Math.max(least, Math.min(most, whole || affordable)), layerErrors, tapErrors };
  }
  throw new RangeError('no detail of probes');
}
