/** Names of which none is given twice. */
export class UniqueNames {
  private readonly taken = new Set<string>();
  /** Numbers below are taken: many names of one base would be looked for again and again. */
  private readonly next = new Map<string, number>();

  has(name: string): boolean {
    return this.taken.has(name);
  }

  add(name: string): void {
    this.taken.add(name);
  }

  /** `base`, or `base` with a number: a name that was not there yet. */
  fresh(base: string): string {
    let name = base;
    let next = this.next.get(base) ?? 2;
    while (this.taken.has(name)) name = `${base}_${String(next++)}`;
    this.next.set(base, next);
    this.taken.add(name);
    return name;
  }
}
