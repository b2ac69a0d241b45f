import { useQuery } from '@tanstack/react-query';
import { get } from './call.js';

/** The part of JSON Schema that the specification uses. */
export interface Schema {
  $ref?: string;
  type?: string;
  description?: string;
  default?: unknown;
  enum?: (string | number)[];
  anyOf?: Schema[];
  oneOf?: Schema[];
  items?: Schema;
  properties?: Record<string, Schema>;
  minimum?: number;
  maximum?: number;
  pattern?: string;
}

export interface Schemas {
  of(name: string): Schema;
  /** What a reference stands for. */
  follow(schema: Schema): Schema;
}

interface Document {
  components: { schemas: Record<string, Schema> };
}

export const useSchemas = () =>
  useQuery({
    queryKey: ['openapi'],
    queryFn: async ({ signal }): Promise<Schemas> => {
      const { schemas } = (await get<Document>('/openapi.json', signal)).components;
      const of = (name: string) => schemas[name] ?? {};
      return { of, follow: (schema) => (schema.$ref === undefined ? schema : of(schema.$ref.split('/').at(-1) ?? '')) };
    },
    staleTime: Infinity,
  });
