import { inputPlaces, layerPlaces, placesBefore, type ShapeDescription } from './shape.js';

/**
 * 1x1 to `rank` channels, then k x k. Of transposed convolutions, where the first one works at the few places of the
 * input; an ordinary convolution is served better by the others. `q` is [rank, channels], `p` [m, rank * taps].
 */
export const pointwise: ShapeDescription = {
  convolutions: '1x1, transposed k x k',
  narrows: 'input',
  applies: ({ taps, transposed }) => transposed === true && taps > 1,
  parts: (layer, { rank }, outputs) => [
    { outputs: rank, channels: layer.channels, taps: 1, places: placesBefore(layer, inputPlaces) },
    { outputs, channels: rank, taps: layer.d / layer.channels, ...layerPlaces(layer) },
  ],
};
