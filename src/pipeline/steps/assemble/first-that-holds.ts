/**
 * The first of so many steps that holds: of a ladder of networks, each less compressed than the one before, the most compressed one. What was searched
 * for is missed by little, mostly: behind the first the second is tried, and bisected only then. Null when none holds.
 */
export async function firstThatHolds(steps: number, holds: (step: number) => Promise<boolean>): Promise<number | null> {
  let fails = -1;
  for (; fails < 1 && fails + 1 < steps; fails++) if (await holds(fails + 1)) return fails + 1;
  let good = steps;
  while (good - fails > 1) {
    const middle = (fails + good) >> 1;
    if (await holds(middle)) good = middle;
    else fails = middle;
  }
  return good < steps ? good : null;
}
