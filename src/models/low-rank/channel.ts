import { layerPlaces, type ShapeDescription } from './shape.js';

/**
 * k x k to `rank` channels, then 1x1 to the m outputs. Fully connected layers have this one. `q` is [rank, channels *
 * taps], `p` [m, rank].
 */
export const channel: ShapeDescription = {
  convolutions: 'k x k, 1x1',
  narrows: 'output',
  applies: () => true,
  parts: (layer, { rank }, outputs) => [
    { outputs: rank, channels: layer.channels, taps: layer.d / layer.channels, ...layerPlaces(layer) },
    { outputs, channels: rank, taps: 1, places: layer.positions },
  ],
};
