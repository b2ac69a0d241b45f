/**
 * The first of so many steps that holds, by bisection where the very first does not: of a ladder of networks, each less
 * compressed than the one before, the most compressed one. Null when none holds.
 */
export async function firstThatHolds(steps: number, holds: (step: number) => Promise<boolean>): Promise<number | null> {
  if (steps > 0 && (await holds(0))) return 0;
  let fails = 0;
  let good = steps;
  while (good - fails > 1) {
    const middle = (fails + good) >> 1;
    if (await holds(middle)) good = middle;
    else fails = middle;
  }
  return good < steps ? good : null;
}
