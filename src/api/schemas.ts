import { Type, type TSchema } from 'typebox';
import { PROBLEM_TYPE, ProblemSchema } from './problem.js';

/** Pieces that several routes show. */
export const Time = Type.String({ format: 'date-time', description: 'RFC 3339, UTC' });
export const Nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

/** Every call may answer with a problem. */
const problem = (description: string) => ({ description, content: { [PROBLEM_TYPE]: { schema: ProblemSchema } } });
export const failures = {
  '4xx': problem('the request is at fault; `errors` has pointers'),
  '5xx': problem('the service is at fault; try again'),
};

export const Limit = Type.Integer({ minimum: 1, maximum: 100, default: 20 });

export const PageOf = <T extends TSchema>(item: T) =>
  Type.Object({
    data: Type.Array(item),
    has_more: Type.Boolean(),
    next: Nullable(Type.String({ description: 'the value of `after` for the next page' })),
  });

export const page = <T, R>(
  records: T[],
  hasMore: boolean,
  present: (record: T) => R,
  cursor: (record: T) => string,
) => {
  const last = records.at(-1);
  return { data: records.map(present), has_more: hasMore, next: hasMore && last !== undefined ? cursor(last) : null };
};
