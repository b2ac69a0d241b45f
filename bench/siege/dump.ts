import pg from 'pg';

/** What the tables of a database held at one moment, as JSON text that only PostgreSQL reads. */
export interface Dump {
  tables: Map<string, string>;
  sequences: Map<string, string>;
  jobs: Set<string>;
}

interface Named {
  name: string;
}

/** Prisma's list of migrations belongs to the tables, not to what is in them. */
const TABLES = `select format('%I.%I', table_schema, table_name) as name from information_schema.tables
  where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema') and table_name <> '_prisma_migrations'`;
const SEQUENCES = `select format('%I.%I', schemaname, sequencename) as name from pg_sequences`;

async function connected<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** One snapshot, beside whatever goes on: as `pg_dump` does, whose version would have to be the server's. */
export const takeDump = (url: string): Promise<Dump> =>
  connected(url, async (client) => {
    await client.query('begin transaction isolation level repeatable read read only');
    const dump: Dump = { tables: new Map(), sequences: new Map(), jobs: new Set() };
    for (const { name } of (await client.query<Named>(TABLES)).rows) {
      const { rows } = await client.query<{ rows: string }>(
        `select coalesce(json_agg(t), '[]')::text as rows from ${name} t`,
      );
      dump.tables.set(name, rows[0]?.rows ?? '[]');
    }
    for (const { name } of (await client.query<Named>(SEQUENCES)).rows) {
      const { rows } = await client.query<{ value: string }>(`select last_value::text as value from ${name}`);
      dump.sequences.set(name, rows[0]?.value ?? '1');
    }
    dump.jobs = await jobsOf(client);
    await client.query('commit');
    return dump;
  });

const jobsOf = async (client: pg.Client): Promise<Set<string>> =>
  new Set((await client.query<{ id: string }>('select id from jobs')).rows.map(({ id }) => id));

/** The database is as it was. No process of the service may run. Returns the jobs that it does not know any more. */
export const restoreDump = (url: string, dump: Dump): Promise<string[]> =>
  connected(url, async (client) => {
    await client.query('begin');
    const before = await jobsOf(client);
    // Neither triggers nor references, as in a restore.
    await client.query("set local session_replication_role = 'replica'");
    const names = (await client.query<Named>(TABLES)).rows.map(({ name }) => name);
    await client.query(`truncate ${names.join(', ')}`);
    for (const [name, rows] of dump.tables)
      await client.query(`insert into ${name} select * from json_populate_recordset(null::${name}, $1::json)`, [rows]);
    for (const [name, value] of dump.sequences) await client.query('select setval($1::regclass, $2)', [name, value]);
    await client.query('commit');
    return [...before].filter((id) => !dump.jobs.has(id));
  });
