import { expect, it } from 'vitest';
import { withoutPassword } from '../../src/cli/commands/doctor.js';

it.each([
  ['postgres://me:very-secret@db:5432/sparank?sslmode=require', 'postgres://db:5432/sparank?sslmode=require'],
  ['postgres://me:very@se/cret@db/sparank', 'postgres://db/sparank'],
  [
    'postgres://db/sparank?user=me&password=very-secret&sslmode=require',
    'postgres://db/sparank?user=me&password=***&sslmode=require',
  ],
  ['rediss://:very-secret@cache:6379', 'rediss://cache:6379'],
  ['s3://id:very-secret@bucket?endpoint=https://s3.example', 's3://bucket?endpoint=https://s3.example'],
  ['s3://bucket/prefix', 's3://bucket/prefix'],
  ['file:///data/a@b', 'file:///data/a@b'],
])('doctor shows %s as %s', (url, shown) => {
  expect(withoutPassword(url)).toBe(shown);
});
