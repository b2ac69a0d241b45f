export { checkLabels, countLabels } from './labels.js';
export { openDataset, type Dataset, type DatasetLimits, type DatasetOptions } from './dataset.js';
export type { FloatTensor, Tensor, TensorData } from './tensor.js';
export { encodeNpy, writeNpz } from './write-npz.js';
