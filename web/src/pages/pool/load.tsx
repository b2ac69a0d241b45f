import { useEffect, useState } from 'react';
import { Area, AreaChart, CartesianGrid, ResponsiveContainer, Tooltip, XAxis, YAxis } from 'recharts';
import { clock } from '../../format/time.js';
import { AXIS, ofSeries, PlotTip } from '../../ui/plot.js';

interface Moment {
  at: number;
  running: number;
  waiting: number;
}

/** Half an hour of looks. */
const MOST = 600;
/** Kept while the dashboard is open, on whatever page. */
const seen: Moment[] = [];

/** Load since the page was opened. */
export function Load({ running, waiting }: { running: number; waiting: number }) {
  const [data, setData] = useState<Moment[]>([...seen]);
  useEffect(() => {
    const note = () => {
      seen.push({ at: Date.now(), running, waiting });
      if (seen.length > MOST) seen.shift();
      setData([...seen]);
    };
    note();
    const timer = window.setInterval(note, 3_000);
    return () => window.clearInterval(timer);
  }, [running, waiting]);
  return (
    <section className="card" aria-labelledby="load">
      <div className="card-head">
        <h2 id="load">Load since this page was opened</h2>
        <div className="legend" aria-hidden="true">
          <span className="key key-after">tasks that run</span>
          <span className="key key-before">tasks that wait</span>
        </div>
      </div>
      <div className="plot" role="img" aria-label={`${running} tasks run, ${waiting} wait`}>
        <ResponsiveContainer width="100%" height={150}>
          <AreaChart data={data} margin={{ top: 10, right: 16, bottom: 0, left: -16 }} accessibilityLayer={false}>
            <CartesianGrid vertical={false} stroke="var(--line)" />
            <XAxis
              dataKey="at"
              type="number"
              domain={['dataMin', 'dataMax']}
              {...AXIS}
              tickFormatter={(at: number) => clock(at)}
              minTickGap={60}
            />
            <YAxis {...AXIS} allowDecimals={false} />
            <Tooltip content={<PlotTip say={ofSeries((label) => clock(Number(label)), String)} />} />
            <Area
              dataKey="waiting"
              type="stepAfter"
              stroke="var(--control-line)"
              fill="var(--before)"
              fillOpacity={0.35}
              isAnimationActive={false}
            />
            <Area
              dataKey="running"
              type="stepAfter"
              stroke="var(--accent)"
              fill="var(--accent-fill)"
              fillOpacity={0.35}
              isAnimationActive={false}
            />
          </AreaChart>
        </ResponsiveContainer>
      </div>
    </section>
  );
}
