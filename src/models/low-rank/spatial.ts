import { inputPlaces, placesBefore, type ShapeDescription } from './shape.js';

/**
 * k x 1 to `rank` channels, then 1 x k (Jaderberg et al. 2014, arXiv 1405.3866). `q` is [rank, channels * kh],
 * `p` [m, rank * kw].
 */
export const spatial: ShapeDescription = {
  convolutions: 'k x 1, 1 x k',
  narrows: 'input',
  applies: ({ taps, lastAxis }) => lastAxis !== undefined && lastAxis > 1 && taps / lastAxis > 1,
  parts: (layer, { rank }, outputs) => {
    const { channels, kernel, positions } = layer;
    const [kh = 1, kw = 1] = kernel;
    // The first convolution has the output's rows and still the input's columns.
    const between = placesBefore(layer, ({ inputSize, outputSize }) => (outputSize[0] ?? 1) * (inputSize[1] ?? 1));
    const transposed = layer.transposed !== undefined;
    return [
      {
        ...{ outputs: rank, channels, taps: kh },
        ...(transposed ? { places: placesBefore(layer, inputPlaces), written: between } : { places: between }),
      },
      {
        ...{ outputs, channels: rank, taps: kw },
        ...(transposed ? { places: between, written: positions } : { places: positions }),
      },
    ];
  },
};
