import { useQueries } from '@tanstack/react-query';
import { useState } from 'react';
import { Link, useSearchParams } from 'react-router';
import {
  CartesianGrid,
  LabelList,
  ResponsiveContainer,
  Scatter,
  ScatterChart,
  Tooltip,
  XAxis,
  YAxis,
  ZAxis,
} from 'recharts';
import { get } from '../../api/call.js';
import type { Job, Metrics, Point } from '../../api/types.js';
import { useTitle } from '../../app/title.js';
import { jobName, targetInWords } from '../../format/job.js';
import { bytes, count, error, percent, points, ratio } from '../../format/numbers.js';
import { Failure } from '../../ui/failure.js';
import { Loading } from '../../ui/loading.js';
import { AXIS, AxisChoice, ofDot, PlotTip, ratioAxis } from '../../ui/plot.js';
import './compare.css';
import { TableScroll } from '../../ui/table-scroll.js';

interface Entry {
  name: string;
  job: Job;
  point: Point;
  metrics: Metrics;
}

const LINES: [string, (entry: Entry) => string][] = [
  ['Target', ({ point }) => targetInWords(point.target)],
  ['Parameters', ({ metrics }) => count(metrics.parameters.after)],
  ['Fewer parameters', ({ metrics }) => ratio(metrics.parameters.ratio)],
  ['Fewer MACs', ({ metrics }) => ratio(metrics.macs.ratio)],
  ['File', ({ metrics }) => bytes(metrics.bytes.after)],
  ['Smaller file', ({ metrics }) => ratio(metrics.bytes.ratio)],
  ['Faster', ({ metrics }) => ratio(metrics.speedup)],
  ['Accuracy', ({ metrics }) => percent(metrics.accuracy?.after)],
  ['Accuracy lost', ({ metrics }) => (metrics.accuracy === null ? '–' : points(-metrics.accuracy.drop))],
  ['Same answers', ({ metrics }) => percent(metrics.fidelity.top1_agreement)],
  ['Relative error', ({ metrics }) => error(metrics.fidelity.relative_error)],
  ['Verdict', ({ point }) => (point.verdict?.passed === false ? 'misses' : 'holds')],
];

/** Leaves of the specification by their path. */
function leaves(value: unknown, path = ''): [string, string][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [[path, JSON.stringify(value)]];
  return Object.entries(value).flatMap(([name, inner]) => leaves(inner, path === '' ? name : `${path}.${name}`));
}

function differences(jobs: Job[]): { path: string; values: string[] }[] {
  const all = jobs.map(({ spec }) => new Map(leaves(spec)));
  const paths = [...new Set(all.flatMap((one) => [...one.keys()]))];
  return paths
    .map((path) => ({ path, values: all.map((one) => one.get(path) ?? '–') }))
    .filter(({ values }) => new Set(values).size > 1);
}

const X = {
  parameters: { name: 'fewer parameters', of: ({ metrics }: Entry) => metrics.parameters.ratio },
  speed: { name: 'faster', of: ({ metrics }: Entry) => metrics.speedup },
} as const;

interface Dot {
  name: string;
  /** As its column in the table has it; with those of dots in the same place. */
  number: string;
  x: number;
  y: number;
  z: number;
}

function Plot({ entries }: { entries: Entry[] }) {
  const [axis, setAxis] = useState<keyof typeof X>('parameters');
  const labelled = entries.every(({ metrics }) => metrics.accuracy !== null);
  const quality = ({ metrics }: Entry) =>
    (labelled ? metrics.accuracy?.after : metrics.fidelity.top1_agreement) ?? 1 - metrics.fidelity.relative_error;
  const data = entries.map((entry, i): Dot => {
    const [x, y] = [X[axis].of(entry), quality(entry)];
    const same = entries.flatMap((other, j) => (X[axis].of(other) === x && quality(other) === y ? [j] : []));
    const number = same[0] === i ? same.map((j) => j + 1).join(', ') : '';
    return { name: entry.name, number, x, y, z: entry.metrics.bytes.after };
  });
  return (
    <section className="card" aria-labelledby="scatter">
      <div className="card-head">
        <h2 id="scatter">
          {labelled ? 'Accuracy' : 'Agreement'} against {X[axis].name}
        </h2>
        <span className="muted small">a larger dot is a larger file</span>
        <AxisChoice axes={X} chosen={axis} choose={setAxis} />
      </div>
      <div className="plot" role="img" aria-label={`${data.length} networks; the table below has the numbers`}>
        <ResponsiveContainer width="100%" height={280}>
          <ScatterChart margin={{ top: 16, right: 24, bottom: 8, left: 8 }} accessibilityLayer={false}>
            <CartesianGrid stroke="var(--line)" />
            <XAxis
              type="number"
              dataKey="x"
              {...AXIS}
              {...ratioAxis(data.map(({ x }) => x))}
              tickFormatter={(value: number) => `${value}×`}
            />
            <YAxis
              type="number"
              dataKey="y"
              {...AXIS}
              width={64}
              domain={['auto', 'auto']}
              padding={{ top: 16, bottom: 16 }}
              tickFormatter={(value: number) => percent(value, 1)}
            />
            <ZAxis type="number" dataKey="z" range={[60, 500]} />
            <Tooltip
              cursor={false}
              content={
                <PlotTip<Dot>
                  say={ofDot((dot) => ({
                    title: dot.name,
                    lines: [
                      [X[axis].name, ratio(dot.x)],
                      [labelled ? 'accuracy' : 'agreement', percent(dot.y)],
                      ['file', bytes(dot.z)],
                    ],
                  }))}
                />
              }
            />
            <Scatter data={data} fill="var(--accent-fill)" fillOpacity={0.75} isAnimationActive={false}>
              <LabelList dataKey="number" position="right" offset={10} fill="var(--text)" fontSize={12} />
            </Scatter>
          </ScatterChart>
        </ResponsiveContainer>
      </div>
    </section>
  );
}

function Comparison({ jobs }: { jobs: Job[] }) {
  const entries = jobs.flatMap((job) =>
    job.points.flatMap((point): Entry[] =>
      point.metrics === null
        ? []
        : [
            {
              name: `${jobName(job)} ${job.id.slice(-5)}${job.points.length > 1 ? `, point ${point.point}` : ''}`,
              job,
              point,
              metrics: point.metrics,
            },
          ],
    ),
  );
  const differ = differences(jobs);
  if (entries.length === 0) return <p className="card empty">None of these jobs has been measured.</p>;
  return (
    <div className="stack">
      <Plot entries={entries} />
      <TableScroll card label="Numbers side by side">
        <table className="table compare">
          <thead>
            <tr>
              <th>Number</th>
              {entries.map(({ name, job, point }, i) => (
                <th key={name} className="number">
                  {i + 1}. <Link to={`/jobs/${job.id}?point=${point.point}`}>{name}</Link>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {LINES.map(([name, show]) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                {entries.map((entry) => (
                  <td key={entry.name} className="number">
                    {show(entry)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </TableScroll>
      {jobs.length < 2 ? null : (
        <section className="card" aria-labelledby="differences">
          <div className="card-head">
            <h2 id="differences">Differences of the specifications</h2>
          </div>
          {differ.length === 0 ? (
            <p className="card-body muted">They are the same.</p>
          ) : (
            <TableScroll label="Differences">
              <table className="table">
                <thead>
                  <tr>
                    <th>Choice</th>
                    {jobs.map((job) => (
                      <th key={job.id}>{job.id.slice(-5)}</th>
                    ))}
                  </tr>
                </thead>
                <tbody>
                  {differ.map(({ path, values }) => (
                    <tr key={path}>
                      <th scope="row" className="mono">
                        {path}
                      </th>
                      {values.map((value, i) => (
                        <td key={jobs[i]?.id ?? i} className="mono small">
                          {value}
                        </td>
                      ))}
                    </tr>
                  ))}
                </tbody>
              </table>
            </TableScroll>
          )}
        </section>
      )}
    </div>
  );
}

/** Jobs and points side by side. */
export default function ComparePage() {
  useTitle('Compare');
  const [search] = useSearchParams();
  const ids = (search.get('jobs') ?? '').split(',').filter((id) => id !== '');
  const jobs = useQueries({
    queries: ids.map((id) => ({ queryKey: ['job', id], queryFn: () => get<Job>(`/jobs/${id}`) })),
  });
  const failed = jobs.find((job) => job.error !== null)?.error;
  const all = jobs.flatMap(({ data }) => (data === undefined ? [] : [data]));
  return (
    <>
      <div className="page-head">
        <h1>Compare</h1>
      </div>
      {ids.length === 0 ? (
        <div className="card empty">
          <h2>Nothing chosen yet</h2>
          <p>Select jobs in the list, then press Compare.</p>
          <Link className="button" to="/jobs?status=succeeded">
            To the jobs that succeeded
          </Link>
        </div>
      ) : failed ? (
        <Failure error={failed} />
      ) : all.length < ids.length ? (
        <Loading what="jobs" />
      ) : (
        <Comparison jobs={all} />
      )}
    </>
  );
}
