import type { Job, LayerRow } from '../../api/types.js';
import { useLayers } from '../../api/job.js';
import { madeOf } from '../../format/layer.js';
import { count, error, milliseconds, NONE, ratio } from '../../format/numbers.js';
import { duration } from '../../format/time.js';
import { type Column, DataTable } from '../../ui/data-table.js';
import { Loaded } from '../../ui/query.js';
import { LayerPlot } from './layer-plot.js';

function Decision({ row }: { row: LayerRow }) {
  if (row.status === 'running') return <span className="badge is-active">solving</span>;
  if (row.status === 'failed') return <span className="badge is-bad">failed</span>;
  if (row.decision === 'compressed') return <span>{madeOf(row)}</span>;
  if (row.decision === 'dense' || row.decision === 'dropped')
    return (
      <span className="muted decision">
        {madeOf(row)}
        {row.reason === null ? '' : `: ${row.reason}`}
      </span>
    );
  return <span className="muted">waits</span>;
}

const COLUMNS: Column<LayerRow>[] = [
  { id: 'index', header: '#', value: (row) => row.index, numeric: true },
  {
    id: 'name',
    header: 'Layer',
    value: (row) => row.name,
    show: (row) => (
      <span className="layer-name mono">
        <bdi>{row.name}</bdi>
        {row.nodes === undefined ? null : (
          <span className="muted" title={row.nodes.join(', ')}>
            {' '}
            and {row.nodes.length - 1} more with its weights
          </span>
        )}
      </span>
    ),
    heading: true,
  },
  { id: 'op', header: 'Op', value: (row) => row.op },
  {
    id: 'shape',
    header: 'Weights',
    value: (row) => row.shape.reduce((product, side) => product * side, 1),
    show: (row) => <span className="mono nowrap">{row.shape.join('×')}</span>,
  },
  { id: 'decision', header: 'Decision', value: (row) => madeOf(row), show: (row) => <Decision row={row} /> },
  {
    id: 'before',
    header: 'Parameters',
    value: (row) => row.parameters.before,
    show: (row) => count(row.parameters.before),
    numeric: true,
  },
  {
    id: 'after',
    header: 'After',
    value: (row) => (row.decision === null ? null : row.parameters.after),
    show: (row) => (row.decision === null ? NONE : count(row.parameters.after)),
    numeric: true,
  },
  {
    id: 'ratio',
    header: 'Ratio',
    value: (row) => (row.decision === null ? null : row.parameters.ratio),
    show: (row) => (row.decision === 'compressed' ? <b>{ratio(row.parameters.ratio)}</b> : NONE),
    numeric: true,
  },
  {
    id: 'error',
    header: 'Error',
    value: (row) => row.relative_error,
    show: (row) => error(row.relative_error),
    numeric: true,
  },
  {
    id: 'time',
    header: 'Time',
    value: (row) => row.latency_ms?.before ?? null,
    show: (row) =>
      row.latency_ms === null ? NONE : `${milliseconds(row.latency_ms.before)} → ${milliseconds(row.latency_ms.after)}`,
    numeric: true,
  },
  {
    id: 'seconds',
    header: 'Solved in',
    value: (row) => row.seconds,
    show: (row) => duration(row.seconds),
    numeric: true,
  },
];

/** What happened to every layer, and why. */
export function Layers({ job, point }: { job: Job; point: number }) {
  const layers = useLayers(job.id, point);
  return (
    <Loaded query={layers} what="layers">
      {(rows) =>
        rows.length === 0 ? (
          <div className="card empty">
            <h2>No layers yet</h2>
            <p>They are found when a worker inspects the model.</p>
          </div>
        ) : (
          <div className="stack">
            <LayerPlot rows={rows} />
            <div className="card">
              <DataTable name="Layers" rows={rows} columns={COLUMNS} rowKey={(row) => String(row.index)} />
            </div>
          </div>
        )
      }
    </Loaded>
  );
}
