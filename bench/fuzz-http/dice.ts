import { seededRandom } from '../../src/compression/linalg/random.js';

/** Chance that depends on the seed and a number only, so that any one request can be made again. */
export class Dice {
  readonly #random: () => number;

  constructor(seed: number, number: number) {
    this.#random = seededRandom(seed * 1_000_003 + number);
  }

  /** 0 to n - 1. */
  below(n: number): number {
    return Math.floor(this.#random() * n);
  }

  /** True once in so many. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }

  one<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new RangeError('there is nothing to choose from');
    return item;
  }
}

/** Text that parsers of headers, forms, times and queries trip over. */
export const HOSTILE = [
  '',
  ' ',
  '\t',
  ',',
  ';',
  '=',
  '"',
  '""',
  '"a',
  "'",
  '\\',
  '*',
  '*/*',
  '/',
  '../../etc/passwd',
  '%',
  '%00',
  '%zz',
  '%ed%a0%80',
  '%ff',
  '\u0000',
  '\u0001',
  '\u007f',
  '\u00ff',
  '\u2028',
  '\ud800',
  '\ufeff',
  '-1',
  '0',
  '1e309',
  '0x10',
  '9007199254740993',
  '99999999999999999999999',
  'NaN',
  'Infinity',
  'null',
  'undefined',
  'true',
  '__proto__',
  'constructor',
  'toString',
  '[object Object]',
  '{}',
  '[]',
  '${7*7}',
  "'; drop table jobs; --",
  'connection terminated',
  'out of memory',
  'a'.repeat(300),
  'a'.repeat(5000),
  ','.repeat(2000),
] as const;
