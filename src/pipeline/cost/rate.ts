/**
 * Counted work (multiply-accumulates as the runtime does them) of a second on two quiet cores. Measured on VGG-16 and ResNet-20: fits, statistics
 * and passes do 6e10 to 1e11.
 */
export const WORK_PER_SECOND = 6e10;
/** The same of distillation, half of whose time goes to what is no product: 2.7e10 on ResNet-20, 3e10 and more on VGG-16. */
export const DISTILLATION_PER_SECOND = 3e10;
