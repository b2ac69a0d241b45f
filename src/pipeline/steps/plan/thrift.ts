/** Effects are relative squared errors of the network's outputs, summed over the layers. */

/** Below this nobody sees it: outputs move by 1.4 % of their deviation. */
const UNSEEN = 2e-4;
/** Where the least effect is already large, more of it is dear. */
const MOST_ADDED = 0.01;

/**
 * How large the effect may become for the sake of speed, when `least` is the least that a target allows. Measured on VGG-16
 * at 16x parameters: the least: 3.3x fewer MACs, -0.70 points; 1.7 times that: 5.2x, -0.70; twice: 5.6x, -0.80; three times:
 * 6.4x, -1.05.
 */
export const allowedForSpeed = (least: number): number => Math.min(Math.max(2 * least, UNSEEN), least + MOST_ADDED);

/** The same for size, where the target is speed. */
export const allowedForSize = (least: number): number => 1.2 * least;
