import type { LayerRow } from '../../jobs/results.js';
import type { Method } from '../../jobs/spec.js';
import { InputError } from '../../errors/index.js';
import {
  costOfOutputs,
  DENSE,
  factoredCost,
  groupsTotal,
  isDense,
  narrowsInput,
  PLAIN_PATTERN,
  SPARSE_PATTERNS,
  storesZeros,
  usesOf,
  ZEROS_NOTE,
  type Layer,
  type LayerSize,
  type SparsePattern,
} from '../../models/index.js';

/** A row of the ledger before anything is decided. */
export function newRow(layer: Layer, index: number, pattern: SparsePattern = PLAIN_PATTERN): LayerRow {
  return {
    index,
    name: layer.name,
    ...(layer.uses === undefined ? {} : { nodes: layer.uses.map(({ name }) => name) }),
    op: layer.transposed === undefined ? layer.op : 'ConvTranspose',
    shape: [layer.m, layer.channels, ...layer.kernel],
    status: layer.blocked === null ? 'waiting' : 'done',
    decision: layer.blocked === null ? null : 'dense',
    reason: layer.blocked,
    low_rank_shape: null,
    rank: null,
    inner_rank: null,
    pattern: layer.blocked === null ? pattern : null,
    groups: null,
    groups_total: layer.blocked === null ? groupsTotal(layer, pattern) : null,
    parameters: { before: layer.parameters, after: layer.parameters, ratio: 1 },
    nonzeros: { before: layer.parameters, after: layer.parameters, ratio: 1 },
    macs: { before: layer.macs, after: layer.macs, ratio: 1 },
    relative_error: null,
    relative_error_linear: null,
    iterations: null,
    primal_residual: null,
    dual_residual: null,
    note: null,
    latency_ms: null,
    worker_id: null,
    attempt: null,
    seconds: null,
  };
}

/** The row once its sizes are chosen. */
export function withChoice(row: LayerRow, layer: Layer, size: LayerSize, reason: string | null): LayerRow {
  const { parameters, nonzeros, macs } = factoredCost(layer, size);
  const zeros = size.groups > 0 && storesZeros(layer, size.pattern ?? PLAIN_PATTERN);
  const dense = isDense(size);
  return {
    ...row,
    status: dense ? 'done' : 'waiting',
    decision: dense ? 'dense' : 'compressed',
    reason: reason ?? (zeros ? ZEROS_NOTE : null),
    low_rank_shape: size.rank === 0 ? null : size.shape,
    rank: dense ? null : size.rank,
    inner_rank: size.inner === 0 ? null : size.inner,
    groups: dense ? null : size.groups,
    parameters: change(layer.parameters, parameters),
    nonzeros: change(layer.parameters, nonzeros),
    macs: change(layer.macs, macs),
  };
}

/** The row of a layer that is left out with its branch. */
export const withoutLayer = (row: LayerRow): LayerRow => ({
  ...row,
  status: 'done',
  decision: 'dropped',
  reason: 'the branch that it is in does little that the other layers cannot do',
  ...{ low_rank_shape: null, rank: null, inner_rank: null, groups: null, relative_error: null },
  parameters: change(row.parameters.before, 0),
  nonzeros: change(row.parameters.before, 0),
  macs: change(row.macs.before, 0),
});

const change = (before: number, after: number): LayerRow['parameters'] => ({
  before,
  after,
  ratio: after === 0 ? null : before / after,
});

/** Why a layer is smaller that is not compressed itself, or smaller than its factors alone. */
export const UNREAD_NOTE = 'outputs that no layer reads any more are not made';

/**
 * The rows with the outputs left out that the only layer that reads them does without.
 * @param layers of the network, by their places in it
 */
export function withoutUnread(rows: readonly LayerRow[], layers: readonly Layer[]): LayerRow[] {
  /** Of how many outputs are made, by the name of the layer. */
  const made = new Map<string, number>();
  for (const row of rows) {
    const layer = layers[row.index];
    if (layer?.narrows === undefined) continue;
    const size = sizeOf(row);
    if (!narrowsInput(layer, size)) continue;
    for (const { name } of [{ name: layer.narrows.producer }, ...layer.narrows.depthwise]) made.set(name, size.groups);
  }
  return rows.map((row) => {
    const layer = layers[row.index];
    const outputs = made.get(row.name);
    return layer === undefined || outputs === undefined ? row : withOutputs(row, layer, outputs);
  });
}

function withOutputs(row: LayerRow, layer: Layer, outputs: number): LayerRow {
  const size = sizeOf(row);
  const share = 1 - outputs / layer.m;
  const whole = costOfOutputs(layer, size);
  const less = ({ before, after }: LayerRow['parameters'], own: number): LayerRow['parameters'] => {
    // Of a layer that stays dense everything goes with its outputs, a bias that it has got since included.
    const left = Math.round(after - share * (isDense(size) ? after : own));
    return { before, after: left, ratio: before / left };
  };
  return {
    ...row,
    reason: row.reason === null ? UNREAD_NOTE : `${row.reason}; ${UNREAD_NOTE}`,
    parameters: less(row.parameters, whole.parameters),
    nonzeros: less(row.nonzeros ?? row.parameters, whole.nonzeros),
    macs: less(row.macs, whole.macs),
  };
}

function sizeOf({
  decision,
  low_rank_shape: shape,
  rank,
  inner_rank: inner,
  groups,
  pattern: name,
}: LayerRow): LayerSize {
  if (decision !== 'compressed') return DENSE;
  const pattern = SPARSE_PATTERNS.find((known) => known === name);
  const size = { shape: shape ?? DENSE.shape, rank: rank ?? 0, inner: inner ?? 0, groups: groups ?? 0 };
  return pattern === undefined ? size : { ...size, pattern };
}

/** Patterns whose form is a convolution of one tap, or one in groups. */
const NOT_TRANSPOSED: ReadonlySet<SparsePattern> = new Set(['column', 'block']);

/** Layers with those blocked that a pattern has no form for. */
export const withForm = (layers: readonly Layer[], pattern: SparsePattern): Layer[] =>
  layers.map((layer) =>
    layer.blocked === null && layer.transposed !== undefined && NOT_TRANSPOSED.has(pattern)
      ? { ...layer, blocked: `a transposed convolution has no form for the pattern ${pattern}` }
      : layer,
  );

const namesOf = (layer: Layer) => usesOf(layer).map(({ name }) => name);

/** Of a layer, why the client wants it as it is, or null: by its name, or by those of others alone. */
export function selectionOf({ include, exclude }: Method['layers']): (layer: Layer) => string | null {
  const included = new Set(include);
  const excluded = new Set(exclude);
  return (layer) => {
    const own = namesOf(layer);
    if (own.some((name) => excluded.has(name))) return 'excluded by the specification';
    return included.size > 0 && !own.some((name) => included.has(name)) ? 'not included by the specification' : null;
  };
}

/** Layers with `blocked` extended by the client's include and exclude lists. @throws {InputError} for unknown names */
export function applySelection(layers: readonly Layer[], selection: Method['layers']): Layer[] {
  const { include, exclude } = selection;
  const names = new Set(layers.flatMap(namesOf));
  const faults = [
    ...include.map((name, i) => ({ name, pointer: `/method/layers/include/${String(i)}` })),
    ...exclude.map((name, i) => ({ name, pointer: `/method/layers/exclude/${String(i)}` })),
  ].flatMap(({ name, pointer }) => (names.has(name) ? [] : [{ pointer, detail: `the model has no layer ${name}` }]));
  if (faults.length > 0) {
    const known = [...names].slice(0, 20).join(', ');
    throw new InputError('invalid_spec', `${faults[0]?.detail ?? ''}; its layers are ${known}`, { faults });
  }
  const whyKept = selectionOf(selection);
  return layers.map((layer) => ({ ...layer, blocked: layer.blocked ?? whyKept(layer) }));
}
