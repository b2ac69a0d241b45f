/** Counted work (multiply-accumulates as the runtime does them) of a second on two quiet cores. */
export const WORK_PER_SECOND = 3e10;
