import { otherZip } from '../../datasets/other-formats.js';
import type { FormatFiles } from '../format-files.js';
import { saveGraph } from './graph-model/save.js';
import { jsonFiles } from './io/read.js';
import { saveLayers } from './layers-model/save.js';
import { load } from './load.js';

/** A zip with a .json and no model of another kind in it; what the .json says tells the two forms apart, when it is read. */
const recognizes: FormatFiles['recognizes'] = ({ archive }) => {
  const names = [...(archive?.entries.keys() ?? [])];
  return (
    jsonFiles(names).length > 0 && otherZip(names, 'model') === null && !names.some((name) => /\.onnx$/i.test(name))
  );
};

export const tfjsLayers: FormatFiles = { recognizes, load, save: saveLayers };

export const tfjsGraph: FormatFiles = { recognizes, load, save: saveGraph };
