import type { LayerRow } from '../../jobs/results.js';
import type { Method } from '../../jobs/spec.js';
import { InputError } from '../../errors/index.js';
import {
  factoredCost,
  groupsTotal,
  isDense,
  PLAIN_PATTERN,
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
    parameters: { before: layer.parameters, after: parameters, ratio: layer.parameters / parameters },
    nonzeros: { before: layer.parameters, after: nonzeros, ratio: layer.parameters / nonzeros },
    macs: { before: layer.macs, after: macs, ratio: layer.macs / macs },
  };
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

/** Layers with `blocked` extended by the client's include and exclude lists. @throws {InputError} for unknown names */
export function applySelection(layers: readonly Layer[], { include, exclude }: Method['layers']): Layer[] {
  const namesOf = (layer: Layer) => usesOf(layer).map(({ name }) => name);
  const names = new Set(layers.flatMap(namesOf));
  const faults = [
    ...include.map((name, i) => ({ name, pointer: `/method/layers/include/${String(i)}` })),
    ...exclude.map((name, i) => ({ name, pointer: `/method/layers/exclude/${String(i)}` })),
  ].flatMap(({ name, pointer }) => (names.has(name) ? [] : [{ pointer, detail: `the model has no layer ${name}` }]));
  if (faults.length > 0) {
    const known = [...names].slice(0, 20).join(', ');
    throw new InputError('invalid_spec', `${faults[0]?.detail ?? ''}; its layers are ${known}`, { faults });
  }
  const included = new Set(include);
  const excluded = new Set(exclude);
  return layers.map((layer) => {
    if (layer.blocked !== null) return layer;
    const own = namesOf(layer);
    if (own.some((name) => excluded.has(name))) return { ...layer, blocked: 'excluded by the specification' };
    if (included.size > 0 && !own.some((name) => included.has(name)))
      return { ...layer, blocked: 'not included by the specification' };
    return layer;
  });
}
