const FIRST_SECONDS = 0.5;
const LONGEST_SECONDS = 30;

/** Wait before another attempt after `failures` failed ones: 0.5, 1, 2, ... 30 seconds. */
export function backoffSeconds(failures: number): number {
  return Math.min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** Math.max(0, failures - 1));
}
