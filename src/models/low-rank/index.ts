import type { Layer } from '../layer.js';
import { channel } from './channel.js';
import { pointwise } from './pointwise.js';
import type { Patch, ShapeDescription } from './shape.js';
import { spatial } from './spatial.js';
import { tucker } from './tucker.js';

export type { Patch, ShapeDescription } from './shape.js';

/**
 * The shapes there are; what the API takes, what is measured and what is planned all follow from here. How a shape is
 * fitted is in compression/low-rank, how it is written in models/emit/low-rank, by the same name.
 */
export const LOW_RANK_SHAPES = { channel, tucker, spatial, pointwise } as const satisfies Record<
  string,
  ShapeDescription
>;

export type LowRankShape = keyof typeof LOW_RANK_SHAPES;

export const lowRankShapes = Object.keys(LOW_RANK_SHAPES) as LowRankShape[];

/** The one that every layer can have; it alone stands beside a sparse part. */
export const PLAIN_SHAPE = 'channel' satisfies LowRankShape;

export const patchOf = ({
  kernel,
  d,
  channels,
  transposed,
}: Pick<Layer, 'kernel' | 'd' | 'channels' | 'transposed'>): Patch => {
  // A given size of the output is none that two convolutions one after the other can have.
  const lastAxes = kernel.length > 1 && transposed !== 'sized' ? kernel.slice(1).reduce((a, b) => a * b, 1) : undefined;
  return {
    ...{ channels, taps: d / channels },
    ...(lastAxes === undefined ? {} : { lastAxes }),
    ...(transposed === undefined ? {} : { transposed: true }),
  };
};

/** Shapes of the low-rank part that make sense for a layer. */
export const shapesOf = (layer: Pick<Layer, 'kernel' | 'd' | 'channels' | 'transposed'>): LowRankShape[] =>
  lowRankShapes.filter((shape) => LOW_RANK_SHAPES[shape].applies(patchOf(layer)));
