export { checkLabels, countLabels } from './labels.js';
export { openDataset, type Column, type Dataset } from './dataset.js';
export type { DatasetLimits, DatasetOptions } from './options.js';
export { joinSamples, mapSamples, sliceRows, type Samples } from './samples.js';
export type { FloatTensor, Tensor, TensorData } from './tensor.js';
export { encodeNpy, writeNpz } from './write-npz.js';
