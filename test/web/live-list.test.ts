import { describe, expect, test } from 'vitest';
import { merge } from '../../web/src/api/live-list.js';
import type { JobRow } from '../../web/src/api/types.js';

const row = (n: number, change: Partial<JobRow> = {}): JobRow => ({
  ...{ id: `job_${n}`, object: 'job_row', status: 'queued', phase: 'inspect', queue: null, priority: 'normal' },
  ...{ progress: { fraction: 0, layers_done: 0, layers_total: 0, eta_seconds: null }, labels: {}, team_id: 'team' },
  ...{ model: 'model.onnx', targets: [{ parameter_ratio: 4 }], started_at: null, finished_at: null },
  created_at: `2026-01-01T00:00:0${n}.000Z`,
  updated_at: `2026-01-01T00:00:0${n}.000Z`,
  ...{ verdict: null, result: null, error: null },
  ...change,
});

/** Newest first, in pages; whether there are more. */
const pages = (more: boolean, ...data: JobRow[][]) =>
  data.map((rows, i) => ({
    data: rows,
    has_more: i < data.length - 1 || more,
    next: i < data.length - 1 || more ? (rows.at(-1)?.id ?? null) : null,
    ...(i === 0 ? { total: 9 } : {}),
  }));
const told = (...rows: JobRow[]) => new Map(rows.map((one) => [one.id, one]));
const ids = ({ jobs }: ReturnType<typeof merge>) => jobs.map(({ id }) => id);

describe('a list that is told of changes', () => {
  test('takes new jobs on top and changed ones in their place, on every page', () => {
    const later = row(2, { status: 'running', updated_at: '2026-01-01T00:01:00.000Z' });
    const after = merge(pages(false, [row(5), row(4)], [row(2), row(1)]), told(later, row(7), row(6)), '');
    expect(ids(after)).toEqual(['job_7', 'job_6', 'job_5', 'job_4', 'job_2', 'job_1']);
    expect(after.jobs[4]?.status).toBe('running');
    expect(after.total).toBe(11);
  });

  test('keeps what was read after the change was told', () => {
    const read = row(2, { status: 'running', updated_at: '2026-01-01T00:01:00.000Z' });
    expect(merge(pages(false, [read]), told(row(2)), '').jobs).toEqual([read]);
  });

  test('leaves a job below the last known row to its page, unless there is no such page', () => {
    expect(ids(merge(pages(true, [row(5), row(4)]), told(row(3)), ''))).toEqual(['job_5', 'job_4']);
    expect(ids(merge(pages(false, [row(5), row(4)]), told(row(3)), ''))).toEqual(['job_5', 'job_4', 'job_3']);
  });

  test('counts what was read again once', () => {
    const more = told(row(5), row(6, { status: 'succeeded' }));
    expect(merge(pages(false, [row(4)]), more, 'queued').total).toBe(10);
    expect(merge(pages(false, [row(5), row(4)]), more, 'queued').total).toBe(9);
  });

  test('lets go of what was removed, and of what has another status than asked for', () => {
    const ended = row(5, { status: 'succeeded', updated_at: '2026-01-01T00:01:00.000Z' });
    const both = new Map([...told(ended), ['job_4', null] as const, ['job_unknown', null] as const]);
    const after = merge(pages(false, [row(5), row(4), row(3)]), both, 'queued,running');
    expect(ids(after)).toEqual(['job_3']);
    expect(after.total).toBe(7);
  });
});
