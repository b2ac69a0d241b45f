/** Layers that only training sees; a network at work has nothing in their place. */
export const ONLY_IN_TRAINING: readonly string[] = [
  'Dropout',
  'SpatialDropout1D',
  'SpatialDropout2D',
  'GaussianNoise',
  'GaussianDropout',
  'AlphaDropout',
];
