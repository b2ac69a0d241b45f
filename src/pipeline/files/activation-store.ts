import { open, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { FloatTensor } from '../../models/index.js';
import { bytesOf, readWhole, writeWhole } from './whole-io.js';

interface Stored {
  file: FileHandle;
  path: string;
  /** Byte offset of every batch; filled in order. */
  offsets: number[];
  shapes: number[][];
}

/**
 * Feature maps of the whole calibration set, batch by batch, on disk: memory stays at one batch, whatever the network.
 * Lets the sequential steps compute each part of the network once instead of starting from the input for every layer.
 */
export class ActivationStore {
  private readonly tensors = new Map<string, Stored>();
  private created = 0;

  constructor(private readonly directory: string) {}

  has(name: string): boolean {
    return this.tensors.has(name);
  }

  names(): string[] {
    return [...this.tensors.keys()];
  }

  /** Appends the next batch of tensor `name`. */
  async append(name: string, data: Float32Array, shape: readonly number[]): Promise<void> {
    let stored = this.tensors.get(name);
    if (stored === undefined) {
      const path = join(this.directory, `activation-${String(this.created++)}`);
      stored = { file: await open(path, 'w+', 0o600), path, offsets: [0], shapes: [] };
      this.tensors.set(name, stored);
    }
    const start = stored.offsets[stored.shapes.length] ?? 0;
    const bytes = bytesOf(data);
    await writeWhole(stored.file, bytes, start);
    stored.shapes.push([...shape]);
    stored.offsets.push(start + bytes.length);
  }

  async read(name: string, batch: number): Promise<FloatTensor> {
    const stored = this.tensors.get(name);
    const shape = stored?.shapes[batch];
    const start = stored?.offsets[batch];
    if (stored === undefined || shape === undefined || start === undefined) {
      throw new RangeError(`no batch ${String(batch)} of ${name} was stored`);
    }
    const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
    await readWhole(stored.file, bytesOf(data), start, `a stored activation of ${name}`);
    return { dims: shape, data };
  }

  async drop(name: string): Promise<void> {
    const stored = this.tensors.get(name);
    if (stored === undefined) return;
    this.tensors.delete(name);
    await stored.file.close();
    await rm(stored.path, { force: true });
  }

  async close(): Promise<void> {
    for (const name of this.names()) await this.drop(name);
  }
}
