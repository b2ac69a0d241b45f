import pg from 'pg';
import type { Database } from '../../../src/database/repositories.js';
import type { TestPostgres } from '../../support/postgres.js';

/** Any moment that is past, so that uploads, which expire by the clock of this process, last. */
const START = '2026-01-01T00:00:00Z';

/**
 * A clock of its own for one database: unqualified names are found here before the system's, so the service's own SQL
 * measures this time. What columns and Prisma fill in with the real time is set by it too.
 */
const CLOCK = `
  create schema simulated;
  create table simulated.clock (at timestamptz not null);
  insert into simulated.clock values ('${START}');
  create function simulated.clock_timestamp() returns timestamptz language plpgsql stable as
    $$ begin return (select at from simulated.clock); end $$;
  create function simulated.created() returns trigger language plpgsql as
    $$ begin new.created_at := simulated.clock_timestamp(); new.not_before := new.created_at; return new; end $$;
  create function simulated.seen() returns trigger language plpgsql as
    $$ begin new.last_seen_at := simulated.clock_timestamp(); return new; end $$;
  create trigger created before insert on tasks for each row execute function simulated.created();
  create trigger seen before insert or update on workers for each row execute function simulated.seen();
  create function simulated.tick() returns trigger language plpgsql as
    $$ begin update workers set last_seen_at = new.at; return null; end $$;
  create trigger tick after update on simulated.clock for each row execute function simulated.tick();
  alter table jobs alter created_at set default simulated.clock_timestamp(),
    alter clock_at set default simulated.clock_timestamp();
`;

/** A fresh database in which time stands still until `setClock` moves it; its workers are seen at every moment. */
export async function openSimulated(postgres: TestPostgres): Promise<Database> {
  const url = await postgres.createDatabase();
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(CLOCK);
  const name = new URL(url).pathname.slice(1);
  await client.query(`alter database ${name} set search_path = public, simulated, pg_catalog`);
  await client.end();
  return postgres.openAgain({ url });
}

/** To `seconds` after the start. */
export async function setClock(client: pg.Client, seconds: number): Promise<void> {
  await client.query(`update simulated.clock set at = '${START}'::timestamptz + make_interval(secs => $1)`, [seconds]);
}
