import type { Config } from '../config/index.js';
import type { StepLimits } from '../pipeline/step.js';

/** The settings that bound what a step accepts. */
export function stepLimits(config: Config): StepLimits {
  return {
    maxArchiveEntries: config.MAX_ARCHIVE_ENTRIES,
    maxArchiveRatio: config.MAX_ARCHIVE_RATIO,
    maxModelBytes: config.MAX_MODEL_BYTES,
    maxGraphNodes: config.MAX_GRAPH_NODES,
    maxTensorElements: config.MAX_TENSOR_ELEMENTS,
    maxCalibrationSamples: config.MAX_CALIBRATION_SAMPLES,
    layerMemoryBytes: config.LAYER_MEMORY_MB * 2 ** 20,
  };
}
