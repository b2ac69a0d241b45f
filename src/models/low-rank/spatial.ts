import { inputPlaces, placesBefore, type ShapeDescription } from './shape.js';

/**
 * k x 1 to `rank` channels, then 1 x k (Jaderberg et al. 2014, arXiv 1405.3866). Of three axes k x 1 x 1, then 1 x k x k:
 * along time, then within each image. `q` is [rank, channels * kh], `p` [m, rank * kw].
 */
export const spatial: ShapeDescription = {
  convolutions: 'k x 1, 1 x k',
  narrows: 'input',
  applies: ({ taps, lastAxes }) => lastAxes !== undefined && lastAxes > 1 && taps / lastAxes > 1,
  parts: (layer, { rank }, outputs) => {
    const { channels, kernel, positions } = layer;
    const [kh = 1, ...rest] = kernel;
    const kw = product(rest);
    // The first convolution has the output's rows and still the input's columns.
    const between = placesBefore(
      layer,
      ({ inputSize, outputSize }) => (outputSize[0] ?? 1) * product(inputSize.slice(1)),
    );
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

const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);
