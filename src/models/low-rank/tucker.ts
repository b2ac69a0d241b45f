import { inputPlaces, layerPlaces, placesBefore, type ShapeDescription } from './shape.js';

/**
 * 1x1 to `inner` channels, k x k to `rank` channels, then 1x1 (Tucker-2; Kim et al. 2016, arXiv 1511.06530). `basis` is
 * [inner, channels], `q` [rank, inner * taps], `p` [m, rank].
 */
export const tucker: ShapeDescription = {
  convolutions: '1x1, k x k, 1x1',
  narrows: 'both',
  applies: ({ taps }) => taps > 1,
  parts: (layer, { rank, inner }, outputs) => {
    const { d, channels, positions } = layer;
    return [
      { outputs: inner, channels, taps: 1, places: placesBefore(layer, inputPlaces) },
      { outputs: rank, channels: inner, taps: d / channels, ...layerPlaces(layer) },
      { outputs, channels: rank, taps: 1, places: positions },
    ];
  },
};
