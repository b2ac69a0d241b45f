import { defineConfig } from 'prisma/config';

// Only for Prisma's own commands; the service takes its URL from src/config/index.ts.
const url = process.env['DATABASE_URL'];

export default defineConfig({
  schema: 'prisma/schema.prisma',
  migrations: { path: 'prisma/migrations' },
  ...(url === undefined ? {} : { datasource: { url } }),
});
