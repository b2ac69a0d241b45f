import { useState } from 'react';
import { useSearchParams } from 'react-router';
import { CartesianGrid, ErrorBar, ResponsiveContainer, Scatter, ScatterChart, Tooltip, XAxis, YAxis } from 'recharts';
import type { Job, Metrics } from '../../api/types.js';
import { targetInWords } from '../../format/job.js';
import { percent, ratio, speedInWords } from '../../format/numbers.js';
import { AXIS, AxisChoice, ofDot, PlotTip, ratioAxis } from '../../ui/plot.js';
import { accuracyInterval, agreementInterval } from './numbers.js';

const AXES = {
  parameters: { name: 'fewer parameters', of: (metrics: Metrics) => metrics.parameters.ratio },
  speed: { name: 'faster', of: (metrics: Metrics) => metrics.speedup },
  bytes: { name: 'smaller file', of: (metrics: Metrics) => metrics.bytes.ratio },
} as const;
type Axis = keyof typeof AXES;

/** Accuracy where there are labels, else agreement, else what is left of the outputs. */
function quality(metrics: Metrics): { name: string; value: number; interval: readonly number[] } {
  const { accuracy, fidelity } = metrics;
  if (accuracy !== null) return { name: 'Accuracy', value: accuracy.after, interval: accuracyInterval(accuracy) };
  if (fidelity.top1_agreement !== null)
    return { name: 'Same answers', value: fidelity.top1_agreement, interval: agreementInterval(fidelity) };
  const left = (fidelity.relative_error_ci95 ?? []).map((value) => 1 - value);
  return { name: '1 − relative error', value: 1 - fidelity.relative_error, interval: left.toReversed() };
}

interface Dot {
  point: number;
  x: number;
  y: number;
  error: [number, number];
  target: string;
  passed: boolean;
}

/** The trade-off curve: what every point keeps and what it saves; a click chooses one. */
export function Curve({ job, point }: { job: Job; point: number }) {
  const [axis, setAxis] = useState<Axis>('parameters');
  const [, setSearch] = useSearchParams();
  const dots: Dot[] = job.points.flatMap((one) => {
    if (one.metrics === null) return [];
    const {
      value,
      interval: [low = value, high = value],
    } = quality(one.metrics);
    return [
      {
        point: one.point,
        x: AXES[axis].of(one.metrics),
        y: value,
        error: [value - low, high - value],
        target: targetInWords(one.target),
        passed: one.verdict?.passed ?? true,
      },
    ];
  });
  const first = job.points.find(({ metrics }) => metrics !== null)?.metrics;
  if (!first) return null;
  const { name } = quality(first);
  const choose = (chosen: number) =>
    setSearch(
      (before) => {
        const next = new URLSearchParams(before);
        next.set('point', String(chosen));
        return next;
      },
      { replace: true },
    );
  return (
    <section className="card" aria-labelledby="curve">
      <div className="card-head">
        <h2 id="curve">What it saves, and what it keeps</h2>
        <AxisChoice axes={AXES} chosen={axis} choose={setAxis} />
      </div>
      <div className="curve">
        <div
          className="plot"
          role="img"
          aria-label={`${name} against ${AXES[axis].name} of ${dots.length} points; the list beside has the numbers`}
        >
          <ResponsiveContainer width="100%" height={260}>
            <ScatterChart margin={{ top: 16, right: 24, bottom: 20, left: 8 }} accessibilityLayer={false}>
              <CartesianGrid stroke="var(--line)" />
              <XAxis
                type="number"
                dataKey="x"
                {...AXIS}
                {...ratioAxis(dots.map(({ x }) => x))}
                tickFormatter={(value: number) => `${value}×`}
                label={{
                  value: AXES[axis].name,
                  position: 'insideBottom',
                  offset: -12,
                  fill: 'var(--muted)',
                  fontSize: 12,
                }}
              />
              <YAxis
                type="number"
                dataKey="y"
                {...AXIS}
                width={64}
                domain={['auto', 'auto']}
                tickFormatter={(value: number) => percent(value, 1)}
              />
              <Tooltip
                cursor={false}
                content={
                  <PlotTip<Dot>
                    say={ofDot((dot) => ({
                      title: `Point ${dot.point}: ${dot.target}`,
                      lines: [
                        [AXES[axis].name, ratio(dot.x)],
                        [name, percent(dot.y)],
                      ],
                    }))}
                  />
                }
              />
              <Scatter
                data={[...dots].sort((a, b) => a.x - b.x)}
                line={{ stroke: 'var(--line-strong)', strokeWidth: 1.5 }}
                isAnimationActive={false}
                shape={({ cx, cy, payload }: { cx?: number | undefined; cy?: number | undefined; payload?: Dot }) => (
                  <circle
                    cx={cx}
                    cy={cy}
                    r={payload?.point === point ? 7 : 5}
                    fill={payload?.passed === false ? 'var(--surface)' : 'var(--accent-fill)'}
                    stroke={payload?.point === point ? 'var(--text)' : 'var(--accent-fill)'}
                    strokeWidth={2}
                    className="dot"
                    onClick={() => choose(payload?.point ?? point)}
                  />
                )}
              >
                <ErrorBar dataKey="error" direction="y" width={6} strokeWidth={1.5} stroke="var(--control-line)" />
              </Scatter>
            </ScatterChart>
          </ResponsiveContainer>
        </div>
        <ul className="points" aria-label="Points">
          {job.points.map((one) => (
            <li key={one.point}>
              <button
                type="button"
                className="point"
                aria-pressed={one.point === point}
                onClick={() => choose(one.point)}
              >
                <span>
                  <b>{one.point}.</b> {targetInWords(one.target)}
                </span>
                {one.metrics === null ? (
                  <span className="warn">{one.error === null ? 'not measured' : 'not reached'}</span>
                ) : (
                  <span className="muted">
                    {ratio(one.metrics.parameters.ratio)} smaller, {speedInWords(one.metrics.speedup)},{' '}
                    {percent(quality(one.metrics).value)}
                    {one.verdict?.passed === false ? <span className="warn"> · misses</span> : null}
                  </span>
                )}
              </button>
            </li>
          ))}
        </ul>
      </div>
    </section>
  );
}
