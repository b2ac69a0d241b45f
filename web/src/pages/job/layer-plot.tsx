import { useState } from 'react';
import { Bar, BarChart, CartesianGrid, ResponsiveContainer, Tooltip, XAxis, YAxis } from 'recharts';
import type { LayerRow } from '../../api/types.js';
import { shortName } from '../../format/layer.js';
import { compact, count, milliseconds } from '../../format/numbers.js';
import { AXIS, ofSeries, PlotTip } from '../../ui/plot.js';

const KINDS = {
  parameters: { name: 'Parameters', show: count, axis: compact },
  macs: { name: 'MACs', show: count, axis: compact },
  time: { name: 'Time', show: milliseconds, axis: (value: number) => `${value} ms` },
} as const;
type Kind = keyof typeof KINDS;

function valuesOf(row: LayerRow, kind: Kind): { before: number; after: number } | null {
  if (kind === 'time') return row.latency_ms;
  return row.decision === null ? { before: row[kind].before, after: 0 } : row[kind];
}

/** Where the parameters, the work and the time were, and where they are now. */
export function LayerPlot({ rows }: { rows: LayerRow[] }) {
  const [kind, setKind] = useState<Kind>('parameters');
  const { name, show, axis } = KINDS[kind];
  const kinds = (Object.keys(KINDS) as Kind[]).filter(
    (one) => one !== 'time' || rows.some((row) => row.latency_ms !== null),
  );
  const data = rows.flatMap((row) => {
    const values = valuesOf(row, kind);
    return values === null ? [] : [{ layer: shortName(row.name), index: row.index, ...values }];
  });
  return (
    <section className="card" aria-labelledby="layer-plot">
      <div className="card-head">
        <h2 id="layer-plot">{name} of the layers</h2>
        <div className="legend" aria-hidden="true">
          <span className="key key-before">before</span>
          <span className="key key-after">after</span>
        </div>
        <div className="actions chips" role="group" aria-label="What is shown">
          {kinds.map((one) => (
            <button key={one} type="button" className="chip" aria-pressed={one === kind} onClick={() => setKind(one)}>
              {KINDS[one].name}
            </button>
          ))}
        </div>
      </div>
      <div
        className="plot"
        role="img"
        aria-label={`${name} of ${data.length} layers before and after; the table below has the numbers`}
      >
        <ResponsiveContainer width="100%" height={220}>
          <BarChart
            data={data}
            margin={{ top: 12, right: 16, bottom: 0, left: 8 }}
            barGap={1}
            accessibilityLayer={false}
          >
            <CartesianGrid vertical={false} stroke="var(--line)" />
            <XAxis dataKey="index" {...AXIS} tickFormatter={(index: number) => String(index)} />
            <YAxis {...AXIS} width={64} tickFormatter={axis} />
            <Tooltip
              cursor={{ fill: 'var(--hover)' }}
              content={
                <PlotTip say={ofSeries((label) => data.find(({ index }) => index === label)?.layer ?? '', show)} />
              }
            />
            <Bar
              dataKey="before"
              fill="var(--before)"
              radius={[2, 2, 0, 0]}
              isAnimationActive={false}
              maxBarSize={28}
            />
            <Bar
              dataKey="after"
              fill="var(--accent-fill)"
              radius={[2, 2, 0, 0]}
              isAnimationActive={false}
              maxBarSize={28}
            />
          </BarChart>
        </ResponsiveContainer>
      </div>
    </section>
  );
}
