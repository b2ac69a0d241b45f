import { Type, type Static } from 'typebox';
import type { JobFilter } from '../../database/records.js';
import { JOB_STATUSES, type JobStatus } from '../../jobs/tasks.js';
import { queryFault, readTime } from '../validation.js';

const LABEL = 'label.';
/** Of whole jobs, which may be long. */
const MOST_WHOLE = 100;
const MOST_ROWS = 1000;
const isStatus = (name: string): name is JobStatus => JOB_STATUSES.some((status) => status === name);

/** What jobs are chosen by, beside labels. */
export const ChoiceSchema = Type.Object({
  status: Type.Optional(
    Type.Union([Type.String(), Type.Array(Type.String())], { description: 'one or more, with commas' }),
  ),
  text: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 200,
      description: 'in the id, the values of labels or the name of the model; large and small letters are alike',
    }),
  ),
});

/** What lists of jobs are asked by, beside labels. */
export const FilterSchema = Type.Object({
  ...ChoiceSchema.properties,
  limit: Type.Integer({
    minimum: 1,
    maximum: MOST_ROWS,
    default: 20,
    description: `of whole jobs ${String(MOST_WHOLE)} at most`,
  }),
  after: Type.Optional(Type.String({ description: '`next` of the page before' })),
  created_after: Type.Optional(Type.String({ description: 'RFC 3339' })),
  updated_after: Type.Optional(
    Type.String({ description: 'RFC 3339; what changed since. Take a moment earlier than the last look' }),
  ),
  fields: Type.Optional(Type.Enum(['short'], { description: 'short: rows instead of whole jobs' })),
  total: Type.Boolean({ default: false, description: 'count all that match' }),
});

/** How the document shows what is sent with commas. */
export const LIST_PARAMETERS = {
  status: {
    style: 'form',
    explode: false,
    schema: { type: 'array', items: { type: 'string', enum: [...JOB_STATUSES] } },
  },
};

/** `status=running,queued` or the parameter repeated. */
function readStatus(given: string | string[]): JobStatus[] {
  const names = [given].flat().flatMap((text) => text.split(','));
  return names.map((name) => {
    if (!isStatus(name)) throw queryFault('status', `must be one of ${JOB_STATUSES.join(', ')}`);
    return name;
  });
}

function readLabels(query: object): Record<string, string> {
  const given = Object.entries(query).filter(([name]) => name.startsWith(LABEL));
  // Not by assignment, which does nothing for a label that is called `__proto__`.
  return Object.fromEntries(
    given.map(([name, value]: [string, unknown]) => {
      if (typeof value !== 'string') throw queryFault(name, 'is given twice');
      return [name.slice(LABEL.length), value];
    }),
  );
}

export function readChoice(query: Static<typeof ChoiceSchema>): Pick<JobFilter, 'labels' | 'status' | 'text'> {
  const { status, text } = query;
  return {
    labels: readLabels(query),
    ...(status === undefined ? {} : { status: readStatus(status) }),
    ...(text === undefined ? {} : { text }),
  };
}

export function readFilter(query: Static<typeof FilterSchema>): JobFilter {
  const { limit, after, created_after, updated_after, fields } = query;
  if (fields !== 'short' && limit > MOST_WHOLE)
    throw queryFault('limit', `must be at most ${String(MOST_WHOLE)}; with fields=short ${String(MOST_ROWS)}`);
  const filter: JobFilter = { limit, ...readChoice(query) };
  if (after !== undefined) filter.after = after;
  if (created_after !== undefined) filter.createdAfter = readTime(created_after, '#query/created_after');
  if (updated_after !== undefined) filter.updatedAfter = readTime(updated_after, '#query/updated_after');
  return filter;
}
