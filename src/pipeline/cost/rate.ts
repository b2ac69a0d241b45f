/**
 * Counted work (multiply-accumulates as the runtime does them) of a second on two quiet cores. Measured on VGG-16 and ResNet-20: fits, statistics
 * and passes do 6e10 to 1e11.
 */
export const WORK_PER_SECOND = 6e10;
/** The same of distillation: 7e10 on ResNet-20, 9e10 on a text recognizer of depthwise layers (PP-OCRv4), 1.2e11 on VGG-16. */
export const DISTILLATION_PER_SECOND = 5e10;
