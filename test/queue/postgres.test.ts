import pg from 'pg';
import { queueSuite } from './suite.js';

queueSuite('the queue on PostgreSQL', async () => ({
  async flush(_, database) {
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    const { rows } = await client.query<{ name: string }>(
      `select quote_ident(table_name) as name from information_schema.tables
       where table_schema = 'bullmq' and table_type = 'BASE TABLE' and table_name like '%job%'`,
    );
    await client.query(`truncate ${rows.map((row) => `bullmq.${row.name}`).join(', ')} cascade`);
    await client.end();
  },
}));
