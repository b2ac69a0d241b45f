import { type InfiniteData, useInfiniteQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';
import { get, query } from './call.js';
import type { Job, Page } from './types.js';

export interface JobFilter {
  status: string;
  /** `key=value` */
  label: string;
  text: string;
  /** Empty: the own team; `all` and ids are for operators. */
  team: string;
}

const PAGE = 100;
const LOOK_MS = 3_000;

export function jobsPath({ status, label, team }: JobFilter, after: string | null): string {
  const [name = '', ...value] = label.split('=');
  return `${team === '' ? '/jobs' : '/admin/jobs'}${query({
    limit: PAGE,
    after,
    status,
    ...(label === '' ? {} : { [`label.${name}`]: value.join('=') }),
    ...(team === '' || team === 'all' ? {} : { team }),
  })}`;
}

type Pages = InfiniteData<Page<Job>, string | null>;

/** The newest page over what is known: new jobs come on top, known ones change in place. */
function merge(pages: Pages | undefined, head: Page<Job>): Pages | undefined {
  if (pages === undefined) return pages;
  const fresh = new Map(head.data.map((job) => [job.id, job]));
  const known = new Set(pages.pages.flatMap(({ data }) => data.map(({ id }) => id)));
  const added = head.data.filter(({ id }) => !known.has(id));
  return {
    ...pages,
    pages: pages.pages.map((page, i) => ({
      ...page,
      data: [...(i === 0 ? added : []), ...page.data.map((job) => fresh.get(job.id) ?? job)],
    })),
  };
}

export function useJobs(filter: JobFilter) {
  const client = useQueryClient();
  const key = ['jobs', filter];
  const list = useInfiniteQuery({
    queryKey: key,
    initialPageParam: null as string | null,
    queryFn: ({ pageParam, signal }) => get<Page<Job>>(jobsPath(filter, pageParam), signal),
    getNextPageParam: (page) => page.next,
    staleTime: Infinity,
  });
  useEffect(() => {
    const timer = window.setInterval(() => {
      if (document.hidden) return;
      get<Page<Job>>(jobsPath(filter, null)).then(
        (head) => client.setQueryData<Pages>(key, (pages) => merge(pages, head)),
        () => undefined,
      );
    }, LOOK_MS);
    return () => window.clearInterval(timer);
    // The key is made of the filter.
  }, [client, JSON.stringify(filter)]);
  return list;
}
