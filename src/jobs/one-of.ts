import { Type, type TLiteral, type TSchemaOptions, type TUnion } from 'typebox';

/** One of the names that a registry has: what the API takes and the type follow from it. */
export function oneOf<const Name extends string>(
  names: readonly Name[],
  options: TSchemaOptions = {},
): TUnion<[TLiteral<Name>]> {
  const literals = names.map((name) => Type.Literal(name));
  // A union of any length; the type of its values is that of one literal of all the names.
  return Type.Union(literals, options) as unknown as TUnion<[TLiteral<Name>]>;
}
