import * as Tabs from '@radix-ui/react-tabs';
import { useParams, useSearchParams } from 'react-router';
import { lazy, Suspense } from 'react';
import { useJob } from '../../api/job.js';
import type { Job } from '../../api/types.js';
import { useTitle } from '../../app/title.js';
import { jobName, targetInWords } from '../../format/job.js';
import { Failure } from '../../ui/failure.js';
import { Loading } from '../../ui/loading.js';
import { Head } from './head.js';
import { Live } from './live.js';
import { Overview } from './overview.js';
import './job.css';

const Layers = lazy(async () => ({ default: (await import('./layers.js')).Layers }));
const Network = lazy(async () => ({ default: (await import('./network.js')).Network }));
const Timeline = lazy(async () => ({ default: (await import('./timeline.js')).Timeline }));
const Specification = lazy(async () => ({ default: (await import('./specification.js')).Specification }));

const TABS = [
  ['overview', 'Result'],
  ['layers', 'Layers'],
  ['network', 'Network'],
  ['timeline', 'Timeline'],
  ['specification', 'Specification'],
] as const;

function Content({ job, tab, point }: { job: Job; tab: string; point: number }) {
  if (tab === 'layers') return <Layers job={job} point={point} />;
  if (tab === 'network') return <Network job={job} point={point} />;
  if (tab === 'timeline') return <Timeline job={job} />;
  if (tab === 'specification') return <Specification job={job} />;
  return <Overview job={job} point={point} />;
}

export default function JobPage() {
  const { id = '' } = useParams();
  const [search, setSearch] = useSearchParams();
  const job = useJob(id);
  useTitle(job.data === undefined ? 'Job' : `${jobName(job.data)}, ${job.data.status}`);
  if (job.data === undefined)
    return job.error === null ? <Loading what="job" /> : <Failure error={job.error} retry={() => void job.refetch()} />;
  const tab = TABS.find(([name]) => name === search.get('tab'))?.[0] ?? 'overview';
  const reached = job.data.points.find(({ metrics }) => metrics !== null)?.point ?? 1;
  const asked = Number(search.get('point') ?? reached);
  const point = job.data.points.some((one) => one.point === asked) ? asked : reached;
  const change = (name: string, value: string) =>
    setSearch(
      (before) => {
        const next = new URLSearchParams(before);
        next.set(name, value);
        return next;
      },
      { replace: true },
    );
  return (
    <div className="stack">
      <Head job={job.data} />
      <Live job={job.data} />
      <Tabs.Root value={tab} onValueChange={(value) => change('tab', value)}>
        <div className="job-tabs">
          <Tabs.List className="tabs" aria-label="About the job">
            {TABS.map(([name, title]) => (
              <Tabs.Trigger key={name} value={name} className="tab">
                {title}
              </Tabs.Trigger>
            ))}
          </Tabs.List>
          {job.data.points.length > 1 ? (
            <label className="point-choice">
              <span className="muted">Point</span>
              <select className="select" value={point} onChange={(event) => change('point', event.target.value)}>
                {job.data.points.map((one) => (
                  <option key={one.point} value={one.point}>
                    {one.point}. {targetInWords(one.target)}
                    {one.error === null ? '' : ' (not reached)'}
                  </option>
                ))}
              </select>
            </label>
          ) : null}
        </div>
        {TABS.map(([name]) => (
          <Tabs.Content key={name} value={name} className="tab-content">
            <Suspense fallback={<Loading what={name} />}>
              <Content job={job.data} tab={name} point={point} />
            </Suspense>
          </Tabs.Content>
        ))}
      </Tabs.Root>
    </div>
  );
}
