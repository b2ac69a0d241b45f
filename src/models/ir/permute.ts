/**
 * A copy of the numbers of a tensor, in row-major order, with its axes in the order that `order` says (as ONNX's
 * Transpose).
 */
export function permuted<T extends Float32Array | Int32Array | Uint8Array>(
  data: T,
  dims: readonly number[],
  order: readonly number[],
): { dims: number[]; data: T } {
  const strides = dims.map((_, i) => dims.slice(i + 1).reduce((a, b) => a * b, 1));
  const shape = order.map((axis) => dims[axis] ?? 1);
  const steps = order.map((axis) => strides[axis] ?? 0);
  const result = data.slice() as T;
  const at = shape.map(() => 0);
  for (let to = 0, from = 0; to < result.length; to++) {
    result[to] = data[from];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const step = steps[axis] ?? 0;
      const next = (at[axis] ?? 0) + 1;
      if (next < (shape[axis] ?? 1)) {
        at[axis] = next;
        from += step;
        break;
      }
      at[axis] = 0;
      from -= step * (next - 1);
    }
  }
  return { dims: shape, data: result };
}
