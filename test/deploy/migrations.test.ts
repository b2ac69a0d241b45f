import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const MIGRATIONS = fileURLToPath(new URL('../../prisma/migrations/', import.meta.url));
/** Those of the first version had no older one beside them. */
const FIRST_VERSION = '20261127';

/** What a version that does not know the migration may stumble over; null: it only adds. */
function taking(sql: string): string | null {
  const code = sql.replaceAll(/--.*$/gm, '').replaceAll(/'(?:[^']|'')*'/g, "''");
  for (const statement of code.split(/;\s*$/m)) {
    const found =
      /\bdrop\s+(?!default\b|not\s+null\b)\w+|\brename\b|\bset\s+not\s+null\b|\balter\s+column\s+\S+\s+(?:set\s+data\s+)?type\b/i.exec(
        statement,
      );
    if (found) return found[0];
    for (const [column] of statement.matchAll(/\badd\s+column\b[^,;]*/gi))
      if (/\bnot\s+null\b/i.test(column) && !/\bdefault\b|\bgenerated\b/i.test(column)) return column;
  }
  return null;
}

describe('migrations', () => {
  test.each([
    ['ALTER TABLE "a" ADD COLUMN "b" TEXT;', null],
    ['ALTER TABLE "a" ADD COLUMN "b" TEXT NOT NULL DEFAULT \'x\', ADD COLUMN "c" INT;', null],
    ['-- drop nothing\nCREATE INDEX "i" ON "a" ("b");', null],
    ['UPDATE "a" SET "b" = \'drop table it\';', null],
    ['ALTER TABLE "a" ALTER COLUMN "b" DROP NOT NULL;', null],
    ['ALTER TABLE "a" ADD COLUMN "b" TEXT NOT NULL;', 'ADD COLUMN "b" TEXT NOT NULL'],
    ['ALTER TABLE "a" DROP COLUMN "b";', 'DROP COLUMN'],
    ['ALTER TABLE "a" RENAME TO "b";', 'RENAME'],
    ['ALTER TABLE "a" ALTER COLUMN "b" SET NOT NULL;', 'SET NOT NULL'],
    ['ALTER TABLE "a" ALTER COLUMN "b" TYPE bigint;', 'ALTER COLUMN "b" TYPE'],
  ])('%s takes away: %s', (sql, expected) => {
    expect(taking(sql)?.trim() ?? null).toBe(expected);
  });

  const names = readdirSync(MIGRATIONS, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name > FIRST_VERSION)
    .map(({ name }) => name);

  test.each(names)('%s only adds, or says first why an older version can do without what it takes', (name) => {
    const sql = readFileSync(join(MIGRATIONS, name, 'migration.sql'), 'utf8');
    const taken = taking(sql);
    if (taken !== null) expect(sql, `it takes away: ${taken}`).toMatch(/^-- contract: \S.{20,}/);
  });

  test('are found', () => {
    expect(names.length).toBeGreaterThan(0);
  });
});
