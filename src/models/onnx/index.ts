import type { FormatFiles } from '../format-files.js';
import { loadArchive, loadSingle } from './load.js';
import { saveSingle, saveZip } from './save.js';

/** One file with everything in it. */
export const onnx: FormatFiles = { recognizes: ({ archive }) => archive === null, load: loadSingle, save: saveSingle };

/**
 * A zip of an .onnx file and its external data; also takes the zips that no other format knows, and says what they are.
 */
export const onnxZip: FormatFiles = {
  recognizes: ({ archive }) => archive !== null,
  load: loadArchive,
  save: saveZip,
};
