import type pg from 'pg';
import type { DatabaseContext, Run } from './context.js';

const runOn =
  (client: pg.Pool | pg.PoolClient): Run =>
  async <T>(name: string, text: string, values: unknown[] = []) =>
    (await client.query({ name, text, values })).rows as T[];

/** Statements that are run for every task. PostgreSQL plans them once for each connection. */
export const preparedStatements = (pool: pg.Pool): Pick<DatabaseContext, 'prepared' | 'inTransaction'> => ({
  prepared: runOn(pool),
  async inTransaction(work) {
    const client = await pool.connect();
    let broken: Error | undefined;
    try {
      await client.query('begin');
      const result = await work(runOn(client));
      await client.query('commit');
      return result;
    } catch (error) {
      await client.query('rollback').catch((cause: unknown) => (broken = new Error('rollback failed', { cause })));
      throw error;
    } finally {
      client.release(broken);
    }
  },
});
