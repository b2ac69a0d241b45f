import type { NameSource } from '../graph/graph-index.js';
import type { TensorProto } from '../ir/messages.js';
import { floatTensor, int64Tensor } from '../ir/tensors.js';

interface Made {
  name: string;
  data: ArrayLike<number>;
}

/** The tensors of one replaced layer: where several nodes share its weights, what is the same for them is stored once. */
export class MadeTensors {
  private readonly known = new Map<string, Made[]>();

  constructor(
    private readonly names: NameSource,
    private readonly initializer: TensorProto[],
  ) {}

  /** The name of a float32 tensor with these numbers. @param part what it is of the layer */
  floats(part: string, dims: number[], data: Float32Array): string {
    return this.once(`${part} ${String(dims)}`, part, data, (name) => floatTensor(name, dims, data));
  }

  /** The name of a list of int64. */
  integers(part: string, data: number[]): string {
    return this.once(`${part} int64`, part, data, (name) => int64Tensor(name, [data.length], data));
  }

  private once(key: string, part: string, data: ArrayLike<number>, make: (name: string) => TensorProto): string {
    const alike = this.known.get(key) ?? [];
    const same = alike.find((made) => isSame(made.data, data));
    if (same !== undefined) return same.name;
    const name = this.names.fresh(part);
    this.initializer.push(make(name));
    this.known.set(key, [...alike, { name, data }]);
    return name;
  }
}

function isSame(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
