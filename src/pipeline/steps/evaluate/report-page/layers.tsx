import type { LayerRow } from '../../../../jobs/results.js';
import { count } from '../../../../jobs/words.js';
import { milliseconds } from './words.js';

const NAME_WIDTH = 300;
const BAR_WIDTH = 460;
const NUMBER_WIDTH = 150;
const ROW = 22;
/** Characters that fit beside the bars; names of some converters are as long as the path to the layer. */
const NAME_LENGTH = 44;

/** A bar for every layer: its parameters before, and on it those after. */
export function LayerPlot({ layers }: { layers: readonly LayerRow[] }) {
  const most = Math.max(1, ...layers.map(({ parameters }) => parameters.before));
  const width = NAME_WIDTH + BAR_WIDTH + NUMBER_WIDTH;
  const bar = (value: number) => Math.max(1, (value / most) * BAR_WIDTH).toFixed(1);
  return (
    <div className="scroll">
      <svg
        viewBox={`0 0 ${String(width)} ${String(layers.length * ROW)}`}
        role="img"
        aria-label="Parameters of each layer, before and after; the table below has the numbers"
      >
        {layers.map(({ index, name, parameters }, row) => (
          <g key={index} transform={`translate(0 ${String(row * ROW)})`}>
            <title>{name}</title>
            <text x={NAME_WIDTH - 10} y={15} textAnchor="end">
              {short(name)}
            </text>
            <rect className="before" x={NAME_WIDTH} y={4} height={14} width={bar(parameters.before)} />
            <rect className="after" x={NAME_WIDTH} y={7} height={8} width={bar(parameters.after)} />
            <text className="dim" x={NAME_WIDTH + Number(bar(parameters.before)) + 8} y={15}>
              {ratioOf(parameters)}
            </text>
          </g>
        ))}
      </svg>
    </div>
  );
}

function ratioOf({ ratio }: LayerRow['parameters']): string {
  if (ratio === null) return 'left out';
  return ratio === 1 ? 'as it was' : `${ratio.toFixed(2)}x`;
}

const short = (name: string): string => (name.length > NAME_LENGTH ? `…${name.slice(1 - NAME_LENGTH)}` : name);

export function LayerTable({ layers }: { layers: readonly LayerRow[] }) {
  const hasBits = layers.some((row) => row.weight_bits !== undefined);
  return (
    <div className="scroll">
      <table>
        <thead>
          <tr>
            <th>Layer</th>
            <th className="text">Weights</th>
            <th className="text">Low rank</th>
            <th>Groups</th>
            <th>Parameters</th>
            {hasBits ? <th>Bits</th> : null}
            <th>MACs</th>
            <th>Time</th>
            <th>Error</th>
            <th className="text">Decision</th>
          </tr>
        </thead>
        <tbody>
          {layers.map((row) => (
            <tr key={row.index}>
              <td title={row.nodes?.join(', ')}>
                {row.name}
                {row.nodes === undefined ? null : <div className="dim">{sharedBy(row.nodes)}</div>}
              </td>
              <td className="text">
                {row.op} {row.shape.join('×')}
              </td>
              <td className="text">{lowRankOf(row)}</td>
              <td>
                {row.decision === 'compressed' ? `${String(row.groups ?? 0)}/${String(row.groups_total ?? 0)}` : '–'}
              </td>
              <td>{change(row.parameters, count)}</td>
              {hasBits ? <td>{row.decision === 'dropped' ? '–' : (row.weight_bits ?? 8)}</td> : null}
              <td>{change(row.macs, count)}</td>
              <td>{row.latency_ms === null ? '–' : change(row.latency_ms, milliseconds)}</td>
              <td>{row.relative_error === null ? '–' : row.relative_error.toFixed(4)}</td>
              <td className="text reason">{decisionOf(row)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** All nodes by name: they are what a reader finds in the graph. */
const sharedBy = (nodes: readonly string[]): string => `weights of ${nodes.join(', ')}`;

/** One number where nothing changed. */
function change({ before, after }: { before: number; after: number }, text: (value: number) => string): string {
  return before === after ? text(before) : `${text(before)} → ${text(after)}`;
}

function lowRankOf({ decision, low_rank_shape: shape, inner_rank: inner, rank }: LayerRow): string {
  if (decision !== 'compressed' || shape === null) return '–';
  return `${shape} ${inner === null ? '' : `${String(inner)}-`}${String(rank ?? 0)}`;
}

const decisionOf = ({ decision, status, reason }: LayerRow): string =>
  reason === null ? (decision ?? status) : `${decision ?? status}: ${reason}`;
