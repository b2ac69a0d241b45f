import { GraphIndex } from '../graph/graph-index.js';
import type { NodeProto } from '../ir/messages.js';
import type { Model } from '../ir/model.js';
import { isOperator } from '../ir/operator.js';
import { planIntegers } from './plan.js';

/** Layers that hand each other integers, with what lies between them; around it everything is float. */
export interface Island {
  /** Names of its layers. */
  layers: string[];
  /**
   * Tensors that it reads from outside, and those of its own that are read outside: they have the same names with
   * integers as without.
   */
  from: string[];
  to: string[];
}

/**
 * What of a network computes with integers without a way over float32; an island is integers as a whole or not at all.
 */
export function integerIslands(model: Model): Island[] {
  const plan = planIntegers(model);
  const index = new GraphIndex(model.graph);
  const results = new Map([...plan.nodes].map((node) => [node, resultOf(node, plan.made, index)]));
  const makers = new Map([...results].map(([node, result]) => [result, node]));
  const groups = new Groups(plan.nodes);
  for (const node of plan.nodes)
    for (const name of node.input) {
      const maker = plan.made.has(name) ? makers.get(name) : undefined;
      if (maker !== undefined) groups.join(maker, node);
    }
  const layers = new Map(plan.layers.map(({ node, name }) => [node, name]));
  return groups.all().map((nodes) => {
    const own = new Set<NodeProto>(nodes);
    const made = new Set(nodes.map((node) => results.get(node) ?? ''));
    const read = nodes.flatMap(({ input }) => input);
    const outside = (name: string) => index.isOutput(name) || index.consumers(name).some((reader) => !own.has(reader));
    return {
      layers: nodes.flatMap((node) => layers.get(node) ?? []),
      from: [...new Set(read)].filter((name) => name !== '' && !made.has(name) && index.initializer(name) === null),
      to: [...made].filter(outside),
    };
  });
}

/** What a node makes for others: behind the rectifier where that is part of its integers. */
function resultOf({ output }: NodeProto, made: ReadonlySet<string>, index: GraphIndex): string {
  const [own = ''] = output;
  const rectifier = made.has(own) ? null : index.soleConsumer(own);
  const behind = rectifier !== null && isOperator(rectifier, 'Relu', 'Clip') ? rectifier.output[0] : undefined;
  return behind !== undefined && made.has(behind) ? behind : own;
}

/** Sets that grow together (union and find). */
class Groups<T> {
  private readonly parents: Map<T, T>;

  constructor(members: Iterable<T>) {
    this.parents = new Map([...members].map((member) => [member, member]));
  }

  join(a: T, b: T): void {
    this.parents.set(this.root(b), this.root(a));
  }

  all(): T[][] {
    const found = new Map<T, T[]>();
    for (const member of this.parents.keys()) {
      const root = this.root(member);
      found.set(root, [...(found.get(root) ?? []), member]);
    }
    return [...found.values()];
  }

  private root(member: T): T {
    let root = member;
    for (let next = this.parents.get(root); next !== undefined && next !== root; next = this.parents.get(root))
      root = next;
    return root;
  }
}
