import { InputError } from '../../errors/index.js';
import { makeNode } from '../ir/attributes.js';
import { subgraphs, type NameSource } from '../graph/graph-index.js';
import {
  withFields,
  type AttributeProto,
  type FunctionProto,
  type GraphProto,
  type NodeProto,
  type TensorProto,
} from '../ir/messages.js';
import { functionLabel, isOperator, operatorOf } from '../ir/operator.js';

export function refuse(own: FunctionProto, what: string): InputError {
  const label = functionLabel(own);
  const detail = `the local function ${label} ${what}`;
  return new InputError('invalid_model', detail, { faults: [{ pointer: `#model/functions/${label}`, detail }] });
}

/** Names inside a function, and what they are at a call; those of a subgraph hide the ones around it. */
class Scope {
  private readonly own = new Map<string, string>();

  constructor(private readonly outer: Scope | null = null) {}

  get(name: string): string | undefined {
    return this.own.get(name) ?? this.outer?.get(name);
  }

  set(name: string, value: string): void {
    this.own.set(name, value);
  }
}

/** One call of a function. */
interface Call {
  prefix: string;
  attributes: ReadonlyMap<string, AttributeProto>;
  names: NameSource;
}

/** A local function, ready to be written in place of its calls. */
export class FunctionBody {
  /** Its constants, which all its calls share. */
  readonly constants: TensorProto[] = [];
  private readonly shared = new Scope();
  private readonly nodes: NodeProto[];
  private readonly made: ReadonlySet<string>;

  /** @throws {InputError} for names that are there twice */
  constructor(
    private readonly own: FunctionProto,
    names: NameSource,
  ) {
    const inputs = new Set(own.input);
    if (inputs.size < own.input.length) throw refuse(own, 'has two inputs of one name');
    const outputs = new Set(own.output);
    const made = outputsOf(own.node);
    const seen = new Set(inputs);
    for (const name of made) {
      if (seen.has(name)) throw refuse(own, `makes ${name}, which it has already`);
      seen.add(name);
    }
    this.nodes = own.node.filter((node) => {
      const [output = ''] = node.output;
      const tensor = constantOf(node);
      // An output of the function stays a node: its name is known at the call only.
      if (tensor === null || outputs.has(output)) return true;
      const name = names.fresh(`${own.name}/${output}`);
      this.shared.set(output, name);
      this.constants.push(withFields(tensor, { name }));
      return false;
    });
    this.made = new Set(outputsOf(this.nodes));
  }

  /** Of the names and attributes that every call binds. */
  get interfaceBytes(): number {
    const { input, output, attributeProto } = this.own;
    return [...input, ...output].reduce((sum, name) => sum + 2 + name.length, 8 * (attributeProto?.length ?? 0));
  }

  /** The nodes in place of `call`; those of functions that it calls in turn are still calls. */
  at(call: NodeProto, prefix: string, names: NameSource): NodeProto[] {
    const { own } = this;
    if (call.input.length > own.input.length || call.output.length > own.output.length) {
      throw refuse(
        own,
        `has ${String(own.input.length)} inputs and ${String(own.output.length)} outputs; a call has ${String(call.input.length)} and ${String(call.output.length)}`,
      );
    }
    const scope = new Scope(this.shared);
    for (const [i, name] of own.input.entries()) scope.set(name, call.input[i] ?? '');
    const copies = this.nameOutputs(call, scope, prefix, names);
    for (const name of this.made) if (scope.get(name) === undefined) scope.set(name, names.fresh(`${prefix}/${name}`));
    const attributes = new Map([...(own.attributeProto ?? []), ...call.attribute].map((a) => [a.name, a]));
    const place = { prefix, attributes, names };
    const alone = this.nodes.length === 1 && call.name !== '';
    const nodes = this.nodes.map((node) => {
      const label = `${prefix}/${node.name === '' ? operatorOf(node) : node.name}`;
      return withFields(this.bound(node, scope, place), { name: alone ? call.name : names.fresh(label) });
    });
    return [...nodes, ...copies];
  }

  /**
   * What the call reads keeps the name that it has there; an input that is an output too, or an output twice, is
   * copied.
   */
  private nameOutputs(call: NodeProto, scope: Scope, prefix: string, names: NameSource): NodeProto[] {
    return this.own.output.flatMap((name, i) => {
      const known = scope.get(name);
      if (known === undefined && !this.made.has(name))
        throw refuse(this.own, `has the output ${name}, which nothing in it makes`);
      const wanted = call.output[i] ?? '';
      if (wanted === '') return [];
      if (known !== undefined) return [makeNode('Identity', names.fresh(`${prefix}/${name}`), [known], [wanted])];
      scope.set(name, wanted);
      return [];
    });
  }

  /** `node` with the names of `scope` and the attributes of the call. */
  private bound(node: NodeProto, scope: Scope, call: Call): NodeProto {
    const at = (name: string) => (name === '' ? '' : this.find(scope, name));
    return withFields(node, {
      input: node.input.map(at),
      output: node.output.map(at),
      attribute: node.attribute.flatMap((old) => this.boundAttribute(old, scope, call)),
    });
  }

  private boundAttribute(old: AttributeProto, scope: Scope, call: Call): AttributeProto[] {
    const reference = old.refAttrName ?? '';
    if (reference !== '') {
      // Left out at the call and without a default: the operator has its own.
      const given = call.attributes.get(reference);
      if (given === undefined) return [];
      const [wanted = 0, is = 0] = [old.type, given.type];
      if (wanted !== 0 && is !== 0 && wanted !== is)
        throw refuse(this.own, `takes ${reference} as another type than a call has it`);
      return [withFields(given, { name: old.name })];
    }
    if (subgraphs({ attribute: [old] }).length === 0) return [old];
    const inner = (graph: GraphProto) => this.subgraph(graph, scope, call);
    return [
      withFields(old, {
        ...(old.g == null ? {} : { g: inner(old.g) }),
        ...(old.graphs === undefined ? {} : { graphs: old.graphs.map(inner) }),
      }),
    ];
  }

  private subgraph(graph: GraphProto, outer: Scope, call: Call): GraphProto {
    const scope = new Scope(outer);
    const own = [...graph.input, ...graph.initializer].map(({ name }) => name);
    for (const name of new Set([...own, ...outputsOf(graph.node)]))
      scope.set(name, call.names.fresh(`${call.prefix}/${graph.name}/${name}`));
    return withFields(graph, {
      node: graph.node.map((node) => this.bound(node, scope, call)),
      initializer: graph.initializer.map((t) => withFields(t, { name: this.find(scope, t.name) })),
      input: graph.input.map((port) => withFields(port, { name: this.find(scope, port.name) })),
      output: graph.output.map((port) => withFields(port, { name: this.find(scope, port.name) })),
      valueInfo: [],
    });
  }

  private find(scope: Scope, name: string): string {
    const found = scope.get(name);
    if (found === undefined) throw refuse(this.own, `reads ${name}, which nothing in it makes`);
    return found;
  }
}

const outputsOf = (nodes: readonly NodeProto[]): string[] =>
  nodes.flatMap((node) => node.output).filter((name) => name !== '');

/** Of a Constant that is the same at every call. */
function constantOf(node: NodeProto): TensorProto | null {
  const [attribute] = node.attribute;
  if (!isOperator(node, 'Constant') || node.attribute.length !== 1 || node.output.length !== 1) return null;
  return attribute?.name === 'value' && (attribute.refAttrName ?? '') === '' ? (attribute.t ?? null) : null;
}
