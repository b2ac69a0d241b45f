import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { Link } from 'react-router';
import { Bar, BarChart, CartesianGrid, ResponsiveContainer, Tooltip, XAxis, YAxis } from 'recharts';
import { get, query } from '../../api/call.js';
import type { Usage } from '../../api/types.js';
import { bytes, count } from '../../format/numbers.js';
import { date, duration } from '../../format/time.js';
import { type Column, DataTable } from '../../ui/data-table.js';
import { AXIS, ofSeries, PlotTip } from '../../ui/plot.js';
import { Loaded } from '../../ui/query.js';

type Row = Usage['data'][number];
type By = 'day' | 'label' | 'job';

const SUMS: Column<Row>[] = [
  { id: 'jobs', header: 'Jobs', value: ({ jobs }) => jobs, numeric: true },
  { id: 'tasks', header: 'Tasks', value: ({ tasks }) => tasks, numeric: true },
  {
    id: 'device',
    header: 'Device time',
    value: (row) => row.device_seconds,
    show: (row) => duration(row.device_seconds),
    numeric: true,
  },
  {
    id: 'uploads',
    header: 'Uploads',
    value: (row) => row.upload_bytes,
    show: (row) => bytes(row.upload_bytes),
    numeric: true,
  },
  {
    id: 'artifacts',
    header: 'Artifacts',
    value: (row) => row.artifact_bytes,
    show: (row) => bytes(row.artifact_bytes),
    numeric: true,
  },
];

const FIRST: Record<By, Column<Row>> = {
  day: { id: 'day', header: 'Day (UTC)', value: ({ day }) => day, heading: true },
  label: {
    id: 'label',
    header: 'Label',
    value: ({ label }) => label,
    show: ({ label }) => label ?? 'without',
    heading: true,
  },
  job: {
    id: 'job',
    header: 'Job',
    value: ({ job_id }) => job_id,
    show: ({ job_id }) =>
      job_id === null || job_id === '' ? (
        'no job'
      ) : (
        <Link to={`/jobs/${job_id}`} className="mono">
          {job_id}
        </Link>
      ),
    heading: true,
  },
};

const UNITS = [
  { name: 'h', seconds: 3600 },
  { name: 'min', seconds: 60 },
  { name: 's', seconds: 1 },
];
const DAY_MS = 86_400_000;
const DAYS = 30;

/** Days on which nothing ran have a place, too. */
function allDays(rows: Row[]): { day: string; device_seconds: number }[] {
  const known = new Map(rows.map((row) => [row.day, row.device_seconds]));
  return Array.from({ length: DAYS }, (_, i) => {
    const day = new Date(Date.now() - (DAYS - 1 - i) * DAY_MS).toISOString().slice(0, 10);
    return { day, device_seconds: known.get(day) ?? 0 };
  });
}

function Plot({ rows }: { rows: Row[] }) {
  const most = Math.max(...rows.map((row) => row.device_seconds));
  const unit = UNITS.find(({ seconds }) => most >= 2 * seconds) ?? { name: 's', seconds: 1 };
  return (
    <div className="plot" role="img" aria-label="Device time by day; the table has the numbers">
      <ResponsiveContainer width="100%" height={150}>
        <BarChart data={allDays(rows)} margin={{ top: 10, right: 16, bottom: 0, left: 0 }} accessibilityLayer={false}>
          <CartesianGrid vertical={false} stroke="var(--line)" />
          <XAxis dataKey="day" {...AXIS} tickFormatter={(day: string) => date(day)} />
          <YAxis
            {...AXIS}
            width={64}
            ticks={[0, 1, 2, 3, 4].map((part) => part * Math.ceil(most / unit.seconds / 4) * unit.seconds)}
            tickFormatter={(seconds: number) => `${Math.round(seconds / unit.seconds)} ${unit.name}`}
          />
          <Tooltip
            cursor={{ fill: 'var(--hover)' }}
            content={<PlotTip say={ofSeries((day) => date(String(day)), duration)} />}
          />
          <Bar
            name="device time"
            dataKey="device_seconds"
            fill="var(--accent-fill)"
            radius={[2, 2, 0, 0]}
            maxBarSize={32}
            isAnimationActive={false}
          />
        </BarChart>
      </ResponsiveContainer>
    </div>
  );
}

/** The last thirty days, by day, label or job. */
export function UsageCard() {
  const [by, setBy] = useState<By>('day');
  const [label, setLabel] = useState('pipeline');
  const asked = query({ by, ...(by === 'label' ? { label } : {}) });
  const usage = useQuery({
    queryKey: ['usage', asked],
    queryFn: ({ signal }) => get<Usage>(`/usage${asked}`, signal),
    enabled: by !== 'label' || label !== '',
  });
  return (
    <section className="card" aria-labelledby="usage">
      <div className="card-head">
        <h2 id="usage">Usage, the last 30 days</h2>
        <div className="actions">
          {by === 'label' ? (
            <input
              className="input label-input"
              aria-label="Name of the label"
              value={label}
              onChange={(event) => setLabel(event.target.value)}
            />
          ) : null}
          <div className="chips" role="group" aria-label="Summed by">
            {(['day', 'label', 'job'] as const).map((one) => (
              <button key={one} type="button" className="chip" aria-pressed={one === by} onClick={() => setBy(one)}>
                by {one}
              </button>
            ))}
          </div>
          <a className="button small" href={`/usage${asked}&format=csv`}>
            CSV
          </a>
        </div>
      </div>
      <Loaded query={usage} what="usage">
        {({ data, total }) => (
          <>
            <p className="card-body muted">
              {count(total.jobs)} jobs, {count(total.tasks)} tasks, {duration(total.device_seconds)} of devices.
            </p>
            {by === 'day' && data.length > 0 ? <Plot rows={data} /> : null}
            <DataTable
              name="Usage"
              rows={data}
              columns={[FIRST[by], ...SUMS]}
              rowKey={(row) => `${row.day ?? ''}${row.job_id ?? ''}${row.label ?? ''}`}
            />
          </>
        )}
      </Loaded>
    </section>
  );
}
