import pg from 'pg';

/** A second team, so that tests can show what it cannot see. */
export async function addTeam(url: string, id: string, weight = 1): Promise<string> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query('insert into teams (id, name, weight) values ($1, $1, $2)', [id, weight]);
  await client.end();
  return id;
}

/** Runs one statement, for states that only time would bring, and for columns that no repository shows. */
export async function runSql<T = unknown>(url: string, sql: string, values: unknown[] = []): Promise<T[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql, values)).rows as T[];
  } finally {
    await client.end();
  }
}
