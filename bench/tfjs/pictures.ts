import { writeNpz } from '../../src/datasets/index.js';
import type { NpzArray } from '../elsewhere/npz.js';

/** Where the pixels of a network lie, and the size of its pictures. */
export interface Frame {
  height: number;
  width: number;
  channels: number;
  low: number;
  high: number;
}

/** Pictures of [samples, height, width, 3] in 0..1 as a network takes them: enlarged or shrunk to its size, in its range. */
export function framed({ shape, data }: NpzArray, count: number, frame: Frame): NpzArray {
  const [all = 0, rows = 0, columns = 0, colours = 3] = shape;
  const samples = Math.min(count, all);
  const { height, width, channels, low, high } = frame;
  const out = new Float32Array(samples * height * width * channels);
  let at = 0;
  for (let i = 0; i < samples; i++) {
    for (let y = 0; y < height; y++) {
      const [top, down] = place(y, height, rows);
      for (let x = 0; x < width; x++) {
        const [left, right] = place(x, width, columns);
        for (let c = 0; c < channels; c++) {
          const pixel = (row: number, column: number) =>
            data[((i * rows + Math.min(rows - 1, row)) * columns + Math.min(columns - 1, column)) * colours + c] ?? 0;
          const upper = pixel(top, left) * (1 - right) + pixel(top, left + 1) * right;
          const lower = pixel(top + 1, left) * (1 - right) + pixel(top + 1, left + 1) * right;
          out[at++] = low + (high - low) * (upper * (1 - down) + lower * down);
        }
      }
    }
  }
  return { shape: [samples, height, width, channels], data: out };
}

/** The pixel before a place, and how far it lies behind that. */
function place(i: number, of: number, pixels: number): [number, number] {
  const exact = ((i + 0.5) * pixels) / of - 0.5;
  const first = Math.max(0, Math.floor(exact));
  return [first, Math.max(0, exact - first)];
}

export const writePictures = (path: string, { shape, data }: NpzArray): Promise<void> =>
  writeNpz(path, { x: { dims: shape, data } });
