import { InputError } from '../../errors/index.js';
import { FunctionBody, refuse } from './function-body.js';
import { NameSource, allNodes, subgraphs } from '../graph/graph-index.js';
import {
  int64ToNumber,
  withFields,
  type AttributeProto,
  type FunctionProto,
  type GraphProto,
  type ModelProto,
  type NodeProto,
} from '../ir/messages.js';
import { isDefaultDomain } from '../ir/model.js';
import { callKey, functionKey } from '../ir/operator.js';

/** What a model may become: functions that call others twice each double with every level. */
export interface InlineLimits {
  maxGraphNodes: number;
}

/** Functions within functions. */
const MAX_DEPTH = 64;
/** Of names and attributes that inlining writes; a whole graph may take as much. */
const MAX_TEXT_BYTES = 64 * 2 ** 20;

/**
 * The model without local functions: every call is replaced by the nodes of the function, with names of their own and
 * the attributes of the call. A runtime does the same before it runs a model; the passes here would take a call for an
 * operator without weights.
 *
 * @throws {InputError} for functions that call themselves, do not fit their calls, or become more than the limits allow
 */
export function inlineFunctions<M extends ModelProto & { graph: GraphProto }>(proto: M, limits: InlineLimits): M {
  const functions = proto.functions ?? [];
  if (functions.length === 0) return proto;
  const known = new Map<string, FunctionProto>();
  for (const own of functions) {
    const key = functionKey(own);
    if (known.has(key)) throw refuse(own, 'is defined twice');
    known.set(key, own);
  }
  const inliner = new Inliner(proto, known, limits);
  const graph = inliner.graph(proto.graph);
  const whole = withFields(graph, { initializer: [...graph.initializer, ...inliner.constants] });
  // Domains that only named functions are gone with them.
  const used = new Set([...allNodes(whole)].map(({ domain }) => domain ?? ''));
  const own = new Set(functions.map(({ domain }) => domain ?? ''));
  const opsetImport = [...proto.opsetImport, ...inliner.imports].filter(
    ({ domain }) => isDefaultDomain(domain) || used.has(domain ?? '') || !own.has(domain ?? ''),
  );
  return withFields<ModelProto>(proto, { graph: whole, functions: [], opsetImport }) as M;
}

/** Where a call stands. */
interface Place {
  depth: number;
  /** Functions around it. */
  within: readonly string[];
}

class Inliner {
  /** Of functions, made once however often they are called. */
  readonly constants: GraphProto['initializer'] = [];
  /** Operator sets that only functions ask for. */
  readonly imports: ModelProto['opsetImport'] = [];
  private readonly names: NameSource;
  private readonly bodies = new Map<string, FunctionBody>();
  private readonly versions = new Map<string, number>();
  private calls = 0;
  private nodes = 0;
  private text = 0;

  constructor(
    proto: ModelProto & { graph: GraphProto },
    private readonly functions: ReadonlyMap<string, FunctionProto>,
    private readonly limits: InlineLimits,
  ) {
    this.names = new NameSource(proto.graph);
    for (const { domain, version } of proto.opsetImport)
      this.versions.set(isDefaultDomain(domain) ? '' : (domain ?? ''), int64ToNumber(version));
  }

  graph(graph: GraphProto, place: Place = { depth: 0, within: [] }): GraphProto {
    return withFields(graph, { node: graph.node.flatMap((node) => this.node(node, place)) });
  }

  private node(node: NodeProto, place: Place): NodeProto[] {
    this.count(node);
    const inner = subgraphs(node).length === 0 ? node : this.withSubgraphs(node, place);
    const called = this.functions.get(callKey(node));
    return called === undefined ? [inner] : this.call(inner, called, place);
  }

  private withSubgraphs(node: NodeProto, place: Place): NodeProto {
    const attribute = node.attribute.map((old): AttributeProto => {
      if (old.g == null && (old.graphs ?? []).length === 0) return old;
      return withFields(old, {
        ...(old.g == null ? {} : { g: this.graph(old.g, place) }),
        ...(old.graphs === undefined ? {} : { graphs: old.graphs.map((graph) => this.graph(graph, place)) }),
      });
    });
    return withFields(node, { attribute });
  }

  private call(node: NodeProto, called: FunctionProto, { depth, within }: Place): NodeProto[] {
    const key = functionKey(called);
    if (within.includes(key)) throw refuse(called, 'calls itself');
    if (depth >= MAX_DEPTH) throw refuse(called, `is called inside ${String(MAX_DEPTH)} others`);
    const body = this.bodyOf(key, called);
    this.calls += 1;
    // What a call costs however small its body is.
    this.text += body.interfaceBytes;
    const prefix = node.name === '' ? `${called.name}_${String(this.calls)}` : node.name;
    const place = { depth: depth + 1, within: [...within, key] };
    return body.at(node, prefix, this.names).flatMap((own) => this.node(own, place));
  }

  private bodyOf(key: string, called: FunctionProto): FunctionBody {
    const known = this.bodies.get(key);
    if (known !== undefined) return known;
    if (isDefaultDomain(called.domain))
      throw refuse(
        called,
        'is in the domain of the standard operators, so that runtimes may take either: give it one of its own',
      );
    this.checkOpsets(called);
    const body = new FunctionBody(called, this.names);
    this.constants.push(...body.constants);
    this.bodies.set(key, body);
    return body;
  }

  /** A node means what the operator set of its function says: it has to be that of the model. */
  private checkOpsets(called: FunctionProto): void {
    for (const node of allNodes(called)) {
      const domain = isDefaultDomain(node.domain) ? '' : (node.domain ?? '');
      if (this.functions.has(callKey(node))) continue;
      const own = called.opsetImport.find((set) => (isDefaultDomain(set.domain) ? '' : set.domain) === domain);
      if (own === undefined) continue;
      const version = int64ToNumber(own.version);
      const given = this.versions.get(domain);
      if (given === undefined) {
        this.versions.set(domain, version);
        this.imports.push(own);
      } else if (given !== version) {
        const name = domain === '' ? 'ai.onnx' : domain;
        throw refuse(
          called,
          `uses version ${String(version)} of the operators of ${name}, and the model version ${String(given)}: export both with the same`,
        );
      }
    }
  }

  private count(node: NodeProto): void {
    this.nodes += 1;
    this.text += textOf(node);
    if (this.nodes <= this.limits.maxGraphNodes && this.text <= MAX_TEXT_BYTES) return;
    const detail =
      this.nodes > this.limits.maxGraphNodes
        ? `with its local functions inlined, the graph has more than ${String(this.limits.maxGraphNodes)} nodes and calls (MAX_GRAPH_NODES)`
        : `with its local functions inlined, the graph without its weights takes more than ${String(MAX_TEXT_BYTES)} bytes`;
    throw new InputError('limit_exceeded', detail, { faults: [{ pointer: '#model/functions', detail }] });
  }
}

/** Bytes of a node without its tensors and subgraphs, about. */
function textOf({ name, input, output, attribute }: NodeProto): number {
  let bytes = name.length;
  for (const text of input) bytes += 2 + text.length;
  for (const text of output) bytes += 2 + text.length;
  for (const own of attribute)
    bytes += 8 + own.name.length + (own.s?.length ?? 0) + 8 * ((own.ints?.length ?? 0) + (own.floats?.length ?? 0));
  return bytes;
}
