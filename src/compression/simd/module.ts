import { unsigned, type Kernel } from './kernel.js';
import { PAGES, SCALARS } from './memory.js';

const I32 = 0x7f;
const F32 = 0x7d;
const FUNCTION_TYPE = 0x60;
const MEMORY = 0x02;
const FUNCTION = 0x00;

const vector = (items: readonly (readonly number[])[]): number[] => [...unsigned(items.length), ...items.flat()];
const text = (value: string): number[] => vector([...new TextEncoder().encode(value)].map((byte) => [byte]));
const section = (id: number, content: number[]): number[] => [id, ...unsigned(content.length), ...content];

/**
 * The bytes of a WebAssembly module (binary format 1, section 5.5) with a function per kernel and an imported memory.
 */
export function moduleOf(kernels: Record<string, Kernel>): Uint8Array {
  const entries = Object.entries(kernels);
  const parameters = vector([[I32], ...Array.from({ length: SCALARS }, () => [F32])]);
  const type = [FUNCTION_TYPE, ...parameters, 0];
  const memory = [...text('kernels'), ...text('memory'), MEMORY, 1, ...unsigned(PAGES), ...unsigned(PAGES)];
  const exported = entries.map(([name], i) => [...text(name), FUNCTION, ...unsigned(i)]);
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, vector([type])),
    ...section(2, vector([memory])),
    ...section(3, vector(entries.map(() => [0]))),
    ...section(7, vector(exported)),
    ...section(10, vector(entries.map(([, kernel]) => kernel.code()))),
  ]);
}
