import { RESULTS_AT, COLUMN_SUMS_AT, SCALARS, slotAt } from './memory.js';

/**
 * Four floats in a local variable of the kernel, or a mask of four. Every operation makes a new one, never changed
 * again.
 */
export interface Lanes {
  readonly local: number;
}

const SIMD = 0xfd;
/** Opcodes after the SIMD prefix (WebAssembly 2.0, section 5.4.8). */
const OP = {
  load: 0x00,
  store: 0x0b,
  shuffle: 0x0d,
  splatIntegers: 0x11,
  splat: 0x13,
  less: 0x43,
  greater: 0x44,
  lessOrEqual: 0x45,
  and: 0x4e,
  bitselect: 0x52,
  promote: 0x5f,
  nearest: 0x6a,
  shiftLeft: 0xab,
  addIntegers: 0xae,
  absolute: 0xe0,
  squareRoot: 0xe3,
  add: 0xe4,
  sub: 0xe5,
  mul: 0xe6,
  divide: 0xe7,
  pseudoMin: 0xea,
  pseudoMax: 0xeb,
  addDouble: 0xf0,
  mulDouble: 0xf2,
  toIntegers: 0xf8,
};
const LOCAL_GET = 0x20;
const LOCAL_SET = 0x21;
const LOCAL_TEE = 0x22;
const I32_CONST = 0x41;
const F32_CONST = 0x43;
const I32_ADD = 0x6a;
const I32_SHIFT_LEFT = 0x74;
/** Of a single float; 127, as a signed LEB128 number of two bytes. */
const EXPONENT_BIAS = [0xff, 0x00];
const MANTISSA_BITS = 23;
/** Natural alignment of 16 bytes, as a power of two. */
const ALIGN = 4;

export function unsigned(value: number): number[] {
  const bytes: number[] = [];
  for (; value > 127; value >>>= 7) bytes.push((value & 127) | 128);
  return [...bytes, value];
}

const simd = (op: number): number[] => [SIMD, ...unsigned(op)];
const get = (local: number): number[] => [LOCAL_GET, ...unsigned(local)];
const set = (local: number): number[] => [LOCAL_SET, ...unsigned(local)];
/** The upper two floats in the place of the lower ones. */
const UPPER = [8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15];
const promoteLower = (x: Lanes): number[] => [...get(x.local), ...simd(OP.promote)];
const promoteUpper = (x: Lanes): number[] => [
  ...get(x.local),
  ...get(x.local),
  ...simd(OP.shuffle),
  ...UPPER,
  ...simd(OP.promote),
];

/** What is the same in every turn of the loop is made once, however often it is asked for. */
function once(made: Map<number, Lanes>, key: number, make: () => Lanes): Lanes {
  const lanes = made.get(key) ?? make();
  made.set(key, lanes);
  return lanes;
}

/**
 * One loop over the slots of the memory, four floats at a time, written down operation by operation. The function it
 * becomes takes the number of bytes per slot, a positive multiple of 16, and `SCALARS` floats.
 */
export class Kernel {
  private readonly before: number[] = [];
  private readonly loop: number[] = [];
  private readonly after: number[] = [];
  private readonly pointer = 1 + SCALARS;
  private readonly constants = new Map<number, Lanes>();
  private readonly scalars = new Map<number, Lanes>();
  private locals = 0;
  private sums = 0;

  load(slot: number): Lanes {
    return this.keep(this.loop, [...get(this.pointer), ...simd(OP.load), ALIGN, ...unsigned(slotAt(slot))]);
  }

  store(slot: number, x: Lanes): void {
    this.loop.push(...get(this.pointer), ...get(x.local), ...simd(OP.store), ALIGN, ...unsigned(slotAt(slot)));
  }

  /** The scalar of that index, in all lanes. */
  scalar(index: number): Lanes {
    return once(this.scalars, index, () => this.keep(this.before, [...get(1 + index), ...simd(OP.splat)]));
  }

  constant(value: number): Lanes {
    const bytes = new Uint8Array(Float32Array.of(value).buffer);
    return once(this.constants, value, () => this.keep(this.before, [F32_CONST, ...bytes, ...simd(OP.splat)]));
  }

  add = (a: Lanes, b: Lanes): Lanes => this.binary(OP.add, a, b);
  sub = (a: Lanes, b: Lanes): Lanes => this.binary(OP.sub, a, b);
  mul = (a: Lanes, b: Lanes): Lanes => this.binary(OP.mul, a, b);
  divide = (a: Lanes, b: Lanes): Lanes => this.binary(OP.divide, a, b);
  absolute = (a: Lanes): Lanes => this.keep(this.loop, [...get(a.local), ...simd(OP.absolute)]);
  sqrt = (a: Lanes): Lanes => this.keep(this.loop, [...get(a.local), ...simd(OP.squareRoot)]);
  /** To the nearest whole number. */
  nearest = (a: Lanes): Lanes => this.keep(this.loop, [...get(a.local), ...simd(OP.nearest)]);

  /** 2 to the power of whole numbers between -126 and 127: their exponent put in its place. */
  powerOfTwo(whole: Lanes): Lanes {
    const BIAS = [I32_CONST, ...EXPONENT_BIAS, ...simd(OP.splatIntegers)];
    const exponent = [...get(whole.local), ...simd(OP.toIntegers), ...BIAS, ...simd(OP.addIntegers)];
    return this.keep(this.loop, [...exponent, I32_CONST, MANTISSA_BITS, ...simd(OP.shiftLeft)]);
  }

  /** The smaller one; a where either is not a number. */
  min = (a: Lanes, b: Lanes): Lanes => this.binary(OP.pseudoMin, a, b);
  /** The larger one; a where either is not a number. */
  max = (a: Lanes, b: Lanes): Lanes => this.binary(OP.pseudoMax, a, b);
  less = (a: Lanes, b: Lanes): Lanes => this.binary(OP.less, a, b);
  lessOrEqual = (a: Lanes, b: Lanes): Lanes => this.binary(OP.lessOrEqual, a, b);
  greater = (a: Lanes, b: Lanes): Lanes => this.binary(OP.greater, a, b);
  /** Bitwise: x where the mask holds, else 0. */
  where = (mask: Lanes, x: Lanes): Lanes => this.binary(OP.and, mask, x);
  both = (a: Lanes, b: Lanes): Lanes => this.binary(OP.and, a, b);

  /** a where the mask holds, else b. */
  select(mask: Lanes, a: Lanes, b: Lanes): Lanes {
    return this.keep(this.loop, [...get(a.local), ...get(b.local), ...get(mask.local), ...simd(OP.bitselect)]);
  }

  /**
   * Adds the squares of x to the next of the results, in double precision: results are numbered in order of the calls.
   */
  sumSquares(x: Lanes): void {
    const at = [...simd(OP.load), ALIGN, ...unsigned(RESULTS_AT + 16 * this.sums)];
    const sum = this.keep(this.before, [I32_CONST, 0, ...at]);
    const lower = this.keep(this.loop, promoteLower(x));
    const upper = this.keep(this.loop, promoteUpper(x));
    for (const half of [lower, upper]) {
      this.loop.push(...get(half.local), ...get(half.local), ...simd(OP.mulDouble));
    }
    this.loop.push(...simd(OP.addDouble), ...get(sum.local), ...simd(OP.addDouble), ...set(sum.local));
    const store = [...simd(OP.store), ALIGN, ...unsigned(RESULTS_AT + 16 * this.sums)];
    this.after.push(I32_CONST, 0, ...get(sum.local), ...store);
    this.sums++;
  }

  /** Adds x to the sums of the columns, in double precision. */
  sumColumns(x: Lanes): void {
    const address = [...get(this.pointer), I32_CONST, 1, I32_SHIFT_LEFT];
    [promoteLower(x), promoteUpper(x)].forEach((half, i) => {
      const memory = [ALIGN, ...unsigned(COLUMN_SUMS_AT + 16 * i)];
      const sum = [...address, ...simd(OP.load), ...memory, ...half, ...simd(OP.addDouble)];
      this.loop.push(...address, ...sum, ...simd(OP.store), ...memory);
    });
  }

  /** The function's entry in the code section. */
  code(): number[] {
    const I32 = 0x7f;
    const V128 = 0x7b;
    const next = [...get(this.pointer), I32_CONST, 16, I32_ADD, LOCAL_TEE, ...unsigned(this.pointer)];
    const I32_LESS_UNSIGNED = 0x49;
    const again = [...get(0), I32_LESS_UNSIGNED, 0x0d, 0];
    const loop = [0x03, 0x40, ...this.loop, ...next, ...again, 0x0b];
    const locals = [2, 1, I32, ...unsigned(this.locals), V128];
    const body = [...locals, ...this.before, ...loop, ...this.after, 0x0b];
    return [...unsigned(body.length), ...body];
  }

  private binary(op: number, a: Lanes, b: Lanes): Lanes {
    return this.keep(this.loop, [...get(a.local), ...get(b.local), ...simd(op)]);
  }

  private keep(into: number[], value: number[]): Lanes {
    const local = this.pointer + 1 + this.locals++;
    into.push(...value, ...set(local));
    return { local };
  }
}
