import { keepPreviousData, useInfiniteQuery, useQueryClient } from '@tanstack/react-query';
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { get, query } from './call.js';
import { merge, type RowPage } from './live-list.js';
import { useStream } from './stream.js';
import type { JobRow } from './types.js';

export interface JobFilter {
  /** With commas. */
  status: string;
  /** `key=value` */
  label: string;
  text: string;
  /** Empty: the own team; `all` and ids are for operators. */
  team: string;
}

const PAGE = 200;
/** Changes are drawn together. */
const DRAW_MS = 150;

/** `key=value`, or nothing as long as it is being typed. */
function labelOf(label: string): Record<string, string> {
  const at = label.indexOf('=');
  return at < 1 ? {} : { [`label.${label.slice(0, at)}`]: label.slice(at + 1) };
}

const choice = ({ status, label, text, team }: JobFilter) => ({
  ...{ status, text: text.trim(), ...labelOf(label) },
  ...(team === 'all' ? {} : { team }),
});

const baseOf = ({ team }: JobFilter): string => (team === '' ? '/jobs' : '/admin/jobs');

const listPath = (filter: JobFilter, after: string | null): string =>
  baseOf(filter) + query({ fields: 'short', limit: PAGE, after, total: after === null, ...choice(filter) });

/** The address that cancels these jobs. */
export const cancelPath = (filter: JobFilter): string => `${baseOf(filter)}/cancel`;

/** A list of jobs that is told of changes by one stream: it is opened first, then the list is read. */
export function useJobs(filter: JobFilter) {
  const client = useQueryClient();
  const path = `${baseOf(filter)}/events${query(choice(filter))}`;
  const [following, setFollowing] = useState('');
  const list = useInfiniteQuery({
    queryKey: ['jobs', filter],
    initialPageParam: null as string | null,
    queryFn: ({ pageParam, signal }) => get<RowPage>(listPath(filter, pageParam), signal),
    getNextPageParam: (page) => page.next,
    enabled: following === path,
    placeholderData: keepPreviousData,
    staleTime: Infinity,
  });

  // What was told since the stream was opened stays beside what was read: a list may be read while a change is told.
  const told = useRef(new Map<string, JobRow | null>());
  const [drawn, setDrawn] = useState(0);
  const timer = useRef<number>(undefined);
  useEffect(
    () => () => {
      window.clearTimeout(timer.current);
      timer.current = undefined;
      told.current = new Map();
    },
    [path],
  );
  const note = (id: string, row: JobRow | null) => {
    told.current.set(id, row);
    timer.current ??= window.setTimeout(() => {
      timer.current = undefined;
      setDrawn((times) => times + 1);
    }, DRAW_MS);
  };
  const read = useCallback(() => {
    if (following === path) void client.invalidateQueries({ queryKey: ['jobs', filter], exact: true });
    else setFollowing(path);
  }, [client, following, path]);
  useStream(
    path,
    {
      job: (data) => {
        const row = JSON.parse(data) as JobRow;
        note(row.id, row);
      },
      removed: (data) => note((JSON.parse(data) as { id: string }).id, null),
    },
    { onOpen: read, onFailure: (refused) => (refused ? read() : setFollowing(path)) },
  );
  const { data, isPlaceholderData } = list;
  const shown = useMemo(
    () =>
      data === undefined ? undefined : merge(data.pages, isPlaceholderData ? new Map() : told.current, filter.status),
    [data, isPlaceholderData, drawn],
  );
  return { list, shown };
}
