import { useQuery } from '@tanstack/react-query';
import { Area, AreaChart, CartesianGrid, ResponsiveContainer, Tooltip, XAxis, YAxis } from 'recharts';
import { get } from '../../api/call.js';
import type { PoolHistory } from '../../api/types.js';
import { clock } from '../../format/time.js';
import { AXIS, ofSeries, PlotTip } from '../../ui/plot.js';

interface Moment {
  at: number;
  running: number;
  waiting: number;
}

const LOOK_MS = 30_000;

/** Tasks of all teams in the last hour, and now. */
export function Load({ running, waiting }: { running: number; waiting: number }) {
  const history = useQuery({
    queryKey: ['pool', 'history'],
    queryFn: ({ signal }) => get<PoolHistory>('/pool/history', signal),
    refetchInterval: LOOK_MS,
  });
  const past = (history.data?.data ?? []).map((one): Moment => ({ ...one, at: Date.parse(one.at) }));
  const data = [...past, { at: Date.now(), running, waiting }];
  return (
    <section className="card" aria-labelledby="load">
      <div className="card-head">
        <h2 id="load">Load, the last hour</h2>
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
