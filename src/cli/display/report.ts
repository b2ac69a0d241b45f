import {
  count,
  errorText,
  intervalText,
  measuredOnText,
  percent,
  ratio,
  tensorflowText,
  whyNotDistilled,
} from '../../jobs/words.js';
import { PATTERN, PLAIN_PATTERN, SPARSE_PATTERNS } from '../../models/sparse/index.js';
import type { LayerRow, Metrics, Verdict, Warning } from '../../jobs/results.js';

export function table(header: string[], rows: string[][]): string {
  const widths = header.map((name, i) => Math.max(name.length, ...rows.map((row) => row[i]?.length ?? 0)));
  // Words to the left, numbers to the right.
  const isText = (i: number) => i < 2 || i === header.length - 1;
  const line = (row: string[]) =>
    row
      .map((cell, i) => (isText(i) ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  ')
      .trimEnd();
  return [line(header), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}

/** What the groups of a pattern are called; a service may know more patterns than this command. */
function groupsInWords(name: string): string {
  const known = SPARSE_PATTERNS.find((pattern) => pattern === name);
  return known === undefined ? 'groups' : PATTERN[known].groups;
}

/** One line per layer: what was chosen, what it saves, what it costs. */
export function layerTable(layers: LayerRow[]): string {
  const hasBits = layers.some((row) => row.weight_bits !== undefined);
  const rows = layers.map((row) => [
    shortName(row.name),
    row.op,
    row.shape.join('x'),
    row.decision === 'compressed' ? lowRankOf(row) : '-',
    row.decision === 'compressed' ? `${row.groups ?? 0}/${row.groups_total ?? 0}` : '-',
    count(row.parameters.before),
    count(row.parameters.after),
    ...(hasBits ? [row.decision === 'dropped' ? '-' : String(row.weight_bits ?? 8)] : []),
    row.relative_error === null ? '-' : row.relative_error.toFixed(4),
    row.decision ?? row.status,
  ]);
  const pattern = layers.find(({ decision }) => decision === 'compressed')?.pattern ?? PLAIN_PATTERN;
  const header = [
    'layer',
    'op',
    'shape',
    'low rank',
    groupsInWords(pattern),
    'parameters',
    'after',
    ...(hasBits ? ['bits'] : []),
    'error',
    'decision',
  ];
  const reasons = (['dense', 'compressed', 'dropped'] as const).flatMap((decision) => reasonsOf(layers, decision));
  return [table(header, rows), ...sharedWeights(layers), ...reasons].join('\n');
}

/** Layers that several nodes apply. */
const sharedWeights = (layers: readonly LayerRow[]): string[] =>
  layers.flatMap(({ nodes }) => (nodes === undefined ? [] : [`one layer: ${nodes.map(shortName).join(', ')}`]));

/** Some converters name a node after all that they have merged into it. */
const NAME_WIDTH = 60;
const shortName = (name: string): string => (name.length > NAME_WIDTH ? `…${name.slice(1 - NAME_WIDTH)}` : name);

/**
 * Such as `spatial 32`, or `48-64` where the shape has two widths: shape and channels between the convolutions of the
 * low-rank part.
 */
function lowRankOf({ low_rank_shape: shape, inner_rank: inner, rank }: LayerRow): string {
  if (shape === null) return '0';
  return `${shape} ${inner === null ? '' : `${String(inner)}-`}${String(rank ?? 0)}`;
}

/** Below the table, since reasons are long and the same for many layers. */
function reasonsOf(layers: LayerRow[], wanted: 'dense' | 'compressed' | 'dropped'): string[] {
  const names = new Map<string, string[]>();
  for (const { decision, reason, name } of layers) {
    if (decision === wanted && reason !== null) names.set(reason, [...(names.get(reason) ?? []), shortName(name)]);
  }
  return [...names].map(([reason, of]) => `${wanted} (${reason}): ${of.join(', ')}`);
}

/** The totals of a job, for people. */
export function totals(metrics: Metrics, verdict: Verdict | null): string {
  const { parameters, macs, bytes, latency, accuracy, fidelity, device, coding, distillation } = metrics;
  const { measured_on: measuredOn } = metrics;
  const lines = [
    `parameters  ${count(parameters.before)} -> ${count(parameters.after)}  (${ratio(parameters.ratio)})`,
    `MACs        ${count(macs.before)} -> ${count(macs.after)}  (${ratio(macs.ratio)})`,
    `file        ${count(bytes.before)} -> ${count(bytes.after)} bytes  (${ratio(bytes.ratio)})`,
  ];
  for (const at of latency) {
    const [low, high] = at.speedup_ci95;
    lines.push(
      `batch ${String(at.batch).padEnd(5)} ${at.before_ms.p50.toFixed(2)} -> ${at.after_ms.p50.toFixed(2)} ms  ` +
        `(${ratio(at.speedup)}, 95 % interval ${(low ?? 0).toFixed(2)} to ${(high ?? 0).toFixed(2)})`,
    );
  }
  if (accuracy) {
    lines.push(
      `accuracy    ${percent(accuracy.before)} -> ${percent(accuracy.after)}  (${count(accuracy.samples)} samples)`,
    );
  }
  const within = (interval: readonly number[] | undefined, show: (value: number) => string) => {
    const text = intervalText(interval, show);
    return text === '' ? '' : `  (${text})`;
  };
  const { top1_agreement: agreement, relative_error: error } = fidelity;
  if (agreement !== null) {
    const interval = within(fidelity.top1_agreement_ci95, percent);
    lines.push(`agreement   ${percent(agreement)} of top-1 answers${interval}`);
  }
  lines.push(`outputs     relative error ${errorText(error)}${within(fidelity.relative_error_ci95, errorText)}`);
  if (measuredOn !== undefined) lines.push(`            on ${measuredOnText(measuredOn)}`);
  if (distillation !== undefined) lines.push(distilledLine('distilled', distillation));
  if (metrics.not_distilled !== undefined) lines.push(`distilled   no: ${whyNotDistilled(metrics.not_distilled)}`);
  if (coding !== undefined) lines.push(...uncodedLines(coding));
  lines.push(
    `measured on ${device.name}, ${device.threads} thread${device.threads === 1 ? '' : 's'}, ${device.engine}`,
  );
  if (metrics.tensorflowjs !== undefined) lines.push(`there       ${tensorflowText(metrics.tensorflowjs)}`);
  for (const check of verdict?.checks ?? []) {
    const measured = check.measured === null ? 'not measured' : check.measured.toFixed(4);
    lines.push(`${check.passed ? 'passed' : 'FAILED'}      ${check.name} ${check.required}: ${measured}`);
  }
  for (const warning of verdict?.warnings ?? []) lines.push(warningLine(warning));
  return lines.join('\n');
}

export const warningLine = ({ code, cause, next }: Warning): string => `warning     ${code}: ${cause}; ${next}`;

/**
 * What changing all layers together did to the outputs on samples that were held out; to what goes into a softmax where
 * there is one, which is another number than the error of the outputs.
 */
function distilledLine(what: string, report: NonNullable<Metrics['distillation']>): string {
  const { passes, relative_error_before: before, relative_error_after: after, kept } = report;
  const errors = `${before.toFixed(4)} -> ${after.toFixed(4)} on held-out samples`;
  return `${what.padEnd(11)} ${String(passes)} passes, relative error (before a softmax) ${errors}${kept ? '' : ' (not kept)'}`;
}

/** What the compressed network was before its weights were coded. */
function uncodedLines({
  coding,
  bytes,
  integer_layers: layers,
  distillation,
  uncoded,
}: NonNullable<Metrics['coding']>): string[] {
  const speeds = uncoded.latency.map(({ batch, speedup }) => `batch ${String(batch)} ${ratio(speedup)}`).join(', ');
  const integers =
    layers === undefined ? '' : `, ${String(layers.integer)} of ${String(layers.all)} layers compute with integers`;
  const accuracy = uncoded.accuracy === null ? '' : `accuracy ${percent(uncoded.accuracy.after)}, `;
  return [
    `weights     ${coding}: file ${count(bytes.before)} -> ${count(bytes.after)} bytes  (${ratio(bytes.ratio)})${integers}`,
    ...(distillation === undefined ? [] : [distilledLine('with it', distillation)]),
    `as float32  ${accuracy}${speeds}`,
  ];
}
