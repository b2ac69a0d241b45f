/** A window that is moved over an input. */
export interface Window {
  autoPad: string;
  kernel: readonly number[];
  strides: readonly number[];
  dilations: readonly number[];
}

/** Explicit padding of auto_pad for an input of this spatial size: all beginnings, then all ends. */
export function automaticPads({ autoPad, kernel, strides, dilations }: Window, size: readonly number[]): number[] {
  if (autoPad === 'VALID') return [...kernel, ...kernel].map(() => 0);
  const total = kernel.map((k, i) => {
    const stride = strides[i] ?? 1;
    const extent = (k - 1) * (dilations[i] ?? 1) + 1;
    return Math.max((Math.ceil((size[i] ?? 0) / stride) - 1) * stride + extent - (size[i] ?? 0), 0);
  });
  const small = total.map((t) => Math.floor(t / 2));
  const large = total.map((t) => Math.ceil(t / 2));
  return autoPad === 'SAME_LOWER' ? [...large, ...small] : [...small, ...large];
}

/**
 * What a transposed convolution that makes an output of this size leaves of it: all beginnings, then all ends (the
 * operator's definition in ONNX, ConvTranspose).
 *
 * @param more its output_padding
 * @param input spatial size of the input
 * @param output spatial size of the output
 */
export function padsOfTransposed(
  { autoPad, kernel, strides, dilations }: Window,
  { more, input, output }: { more: readonly number[]; input: readonly number[]; output: readonly number[] },
): number[] {
  const total = kernel.map((k, i) => {
    const extent = (k - 1) * (dilations[i] ?? 1) + 1;
    const whole = (strides[i] ?? 1) * ((input[i] ?? 0) - 1) + (more[i] ?? 0) + extent;
    return Math.max(0, whole - (output[i] ?? 0));
  });
  const small = total.map((t) => Math.floor(t / 2));
  const large = total.map((t) => Math.ceil(t / 2));
  return autoPad === 'SAME_UPPER' ? [...small, ...large] : [...large, ...small];
}
