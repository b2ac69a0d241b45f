/**
 * An 8-bit number q stands for scale * (q - zeroPoint), q in 0..255; QuantizeLinear and DequantizeLinear of ONNX with
 * uint8.
 */
export interface Affine {
  /** A normal float32, positive. */
  scale: number;
  /** 0..255 */
  zeroPoint: number;
}

export interface Range {
  low: number;
  high: number;
}

/** Smallest normal float32: below it quotients lose their digits. */
export const SMALLEST_SCALE = 2 ** -126;

/** To the nearest integer, ties to the even one, as ONNX rounds. */
export function roundHalfEven(value: number): number {
  const down = Math.floor(value);
  const rest = value - down;
  return rest > 0.5 || (rest === 0.5 && down % 2 !== 0) ? down + 1 : down;
}

/**
 * Steps from `low` to `high`. Zero always is one of the numbers: padding and rectified values are exact. A range of
 * nothing but zero has steps of 1, for what calibration has never seen.
 */
export function affineOf({ low, high }: Range): Affine {
  const [from, to] = [Math.min(low, 0), Math.max(high, 0)];
  if (!(to - from > 0)) return { scale: 1, zeroPoint: 0 };
  const scale = Math.max(stepWithin(to - from), SMALLEST_SCALE);
  return { scale, zeroPoint: Math.min(255, Math.max(0, roundHalfEven(-from / scale))) };
}

/** The largest float32 whose 255th multiple is no more than `width`: a range that ends at a limit does not pass it. */
function stepWithin(width: number): number {
  const nearest = Math.fround(width / 255);
  return Math.fround(nearest * 255) <= width ? nearest : Math.fround(nearest * (1 - 2 ** -23));
}

/** What QuantizeLinear makes of `value`: the quotient is a float32. */
export function quantized(value: number, { scale, zeroPoint }: Affine): number {
  return Math.min(255, Math.max(0, roundHalfEven(Math.fround(value / scale)) + zeroPoint));
}

export const INT32_MAX = 2 ** 31 - 1;

/** Biases in steps of input scale x weight scale, as an accumulator of products has them. */
export function toInt32(bias: Float32Array, scales: Float32Array): Int32Array {
  return Int32Array.from(bias, (value, i) =>
    Math.min(INT32_MAX, Math.max(-INT32_MAX, roundHalfEven(value / scales[i]))),
  );
}
