import { Type, type TSchema } from 'typebox';

/** Pieces that several routes show. */
export const Time = Type.String({ format: 'date-time', description: 'RFC 3339, UTC' });
export const Nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

export const Limit = Type.Integer({ minimum: 1, maximum: 100, default: 20 });

/** `name`: of the page, in the OpenAPI document. */
export const PageOf = <T extends TSchema>(item: T, name: string) =>
  Type.Object(
    {
      data: Type.Array(item),
      has_more: Type.Boolean(),
      next: Nullable(Type.String({ description: 'the value of `after` for the next page' })),
    },
    { $id: name },
  );

export const page = <T, R>(
  records: T[],
  hasMore: boolean,
  present: (record: T) => R,
  cursor: (record: T) => string,
) => {
  const last = records.at(-1);
  return { data: records.map(present), has_more: hasMore, next: hasMore && last !== undefined ? cursor(last) : null };
};
