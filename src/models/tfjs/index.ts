import { otherZip } from '../../datasets/other-formats.js';
import type { FormatFiles } from '../format-files.js';
import { jsonFiles } from './io/read.js';

export { load as loadTensorflowJs } from './load.js';

/** A zip with a .json and no model of another kind in it; what the .json says tells the two forms apart, when it is read. */
export const recognizesTensorflowJs: FormatFiles['recognizes'] = ({ entries }) =>
  entries !== null &&
  jsonFiles(entries).length > 0 &&
  otherZip(entries, 'model') === null &&
  !entries.some((name) => /\.onnx$/i.test(name));
