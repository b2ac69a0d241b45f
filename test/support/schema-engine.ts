import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { PrismaPg } from '@prisma/adapter-pg';
import { bindMigrationAwareSqlAdapterFactory } from '@prisma/driver-adapter-utils';
import type * as SchemaEngineModule from '@prisma/schema-engine-wasm';
import pg from 'pg';

type Glue = typeof SchemaEngineModule & { __wbg_set_wasm(exports: unknown): void };

/** The little of WebAssembly that is used; Node's types leave it out. */
interface Wasm {
  compile(bytes: Uint8Array): Promise<object>;
  instantiate(module: object, imports: object): Promise<{ exports: Record<string, () => void> }>;
}

export interface SchemaEngine {
  /** The SQL with which Prisma would make the tables of a schema. */
  sqlOf(schema: string): Promise<string>;
  close(): void;
}

/**
 * Prisma's schema engine; once per process. Its package is made for bundlers, so it is put together by hand. Over a
 * driver it writes SQL but cannot read a database (it stumbles over the `"char"` columns of the catalog), hence
 * `describeDatabase`.
 */
export async function openSchemaEngine(url: string): Promise<SchemaEngine> {
  const { WebAssembly: wasm } = globalThis as unknown as { WebAssembly: Wasm };
  const directory = dirname(createRequire(import.meta.url).resolve('@prisma/schema-engine-wasm'));
  const glue = (await import(pathToFileURL(join(directory, 'schema_engine_bg.js')).href)) as Glue;
  const module = await wasm.compile(await readFile(join(directory, 'schema_engine_bg.wasm')));
  const { exports } = await wasm.instantiate(module, { './schema_engine_bg.js': glue });
  glue.__wbg_set_wasm(exports);
  exports['__wbindgen_start']?.();
  const adapter = bindMigrationAwareSqlAdapterFactory(new PrismaPg({ connectionString: url }));
  const datasource = 'datasource db {\n  provider = "postgresql"\n}\n';
  const engine = await glue.SchemaEngine.new({ datamodels: [['schema.prisma', datasource]] }, () => undefined, adapter);
  return {
    async sqlOf(schema) {
      const { stdout } = await engine.diff({
        from: { tag: 'empty' },
        to: { tag: 'schemaDatamodel', files: [{ path: 'schema.prisma', content: schema }] },
        script: true,
        exitCode: null,
        filters: { externalTables: [], externalEnums: [] },
      } as Parameters<typeof engine.diff>[0]);
      return stdout ?? '';
    },
    close: () => engine.free(),
  };
}

const PARTS = [
  `select table_name, column_name, data_type, udt_name, is_nullable, column_default, datetime_precision
   from information_schema.columns where table_schema = 'public'`,
  `select tablename, indexdef from pg_indexes where schemaname = 'public'`,
  `select conrelid::regclass::text as table_name, conname, pg_get_constraintdef(oid) as definition from pg_constraint
   where connamespace = 'public'::regnamespace and contype <> 'n'`,
  `select t.typname, array_agg(e.enumlabel::text order by e.enumsortorder) as labels from pg_type t join pg_enum e on e.enumtypid = t.oid group by 1`,
];

/** Columns, indexes, constraints and enums, one line each. */
export async function describeDatabase(url: string): Promise<string[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const lines: string[] = [];
  for (const part of PARTS) {
    const { rows } = await client.query<Record<string, unknown>>(part);
    lines.push(...rows.map((row) => Object.values(row).map(String).join(' | ')));
  }
  await client.end();
  return lines.filter((line) => !line.includes('_prisma_migrations')).sort();
}
