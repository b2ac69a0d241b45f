import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { USAGE_GROUPS, type UsageGroup } from '../../database/records.js';
import { InputError } from '../../errors/index.js';
import type { RouteOptions } from '../deps.js';
import { prefers } from '../negotiate.js';
import { callerFrom } from '../plugins/auth.js';
import { notFound } from '../problem.js';
import { isAdmin, teamInPath } from '../teams/access.js';
import { isStorableTime, queryFault } from '../validation.js';
import { presentUsage, totalOf, usageCsv, UsageSchema } from './schema.js';

const DAY_MS = 86_400_000;
const MOST_DAYS = 366;
const DEFAULT_DAYS = 30;
const MOST_ROWS = 50_000;
const ALL = 'all';

const isGroup = (name: string): name is UsageGroup => USAGE_GROUPS.some((group) => group === name);

function readGroups(given: string, label: string | undefined): UsageGroup[] {
  const names = given.split(',');
  const groups = names.map((name) => {
    if (!isGroup(name)) throw queryFault('by', `must be one or more of ${USAGE_GROUPS.join(', ')}, with commas`);
    return name;
  });
  if (groups.includes('label') !== (label !== undefined))
    throw queryFault('label', 'goes together with by=label, and names the label');
  return [...new Set(groups)];
}

const isoDay = (time: number): string => new Date(time).toISOString().slice(0, 10);

function readDay(name: string, given: string | undefined, fallback: number): number {
  if (given === undefined) return fallback;
  const time = Date.parse(`${given}T00:00:00Z`);
  if (/^\d{4}-\d{2}-\d{2}$/.test(given) && isStorableTime(time) && isoDay(time) === given) return time;
  throw queryFault(name, 'must be a day such as 2026-01-31');
}

/** Both included. */
function readDays(query: { from?: string; to?: string }): { from: string; to: string } {
  const today = Date.now() - (Date.now() % DAY_MS);
  const to = readDay('to', query.to, today);
  const from = readDay('from', query.from, to - (DEFAULT_DAYS - 1) * DAY_MS);
  if (from > to) throw queryFault('from', 'must not be after `to`');
  if (to - from >= MOST_DAYS * DAY_MS) throw queryFault('from', `at most ${MOST_DAYS} days can be asked for`);
  return { from: isoDay(from), to: isoDay(to) };
}

export const usageRoutes: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  /** The team asked for, or null for all of them. */
  async function teamAsked(request: FastifyRequest, given: string | undefined): Promise<string | null> {
    if (given === undefined) return callerFrom(request).teamId;
    if (given === ALL) {
      if (isAdmin(request)) return null;
      throw new InputError('forbidden', 'team=all needs the scope admin');
    }
    const teamId = teamInPath(request, given);
    if ((await deps.database.teams.get(teamId)) === null) throw notFound('team');
    return teamId;
  }

  app.get(
    '/usage',
    {
      config: { scope: ['jobs:read', 'team:admin', 'admin'], doc: { errors: ['not_found', 'limit_exceeded'] } },
      schema: {
        operationId: 'getUsage',
        tags: ['teams'],
        summary: 'Device seconds, jobs and bytes, by day, team, job and label',
        description:
          "Of the key's own team; with the scope admin, `team` names another one, or `all`. What a deleted job used stays. " +
          '`format=csv` (or `Accept: text/csv`) gives the rows as CSV.',
        querystring: Type.Object(
          {
            from: Type.Optional(Type.String({ description: 'first UTC day; default: 30 days up to `to`' })),
            to: Type.Optional(Type.String({ description: 'last UTC day, included; default: today' })),
            by: Type.String({ default: 'day', description: `one or more of ${USAGE_GROUPS.join(', ')}, with commas` }),
            label: Type.Optional(Type.String({ maxLength: 64, description: 'name of the label, for by=label' })),
            team: Type.Optional(Type.String()),
            format: Type.Optional(Type.Enum(['json', 'csv'])),
          },
          { additionalProperties: false },
        ),
        response: {
          200: {
            description: 'the sums',
            content: { 'application/json': { schema: UsageSchema }, 'text/csv': { schema: Type.String() } },
          },
        },
      },
    },
    async (request, reply) => {
      const { query } = request;
      const by = readGroups(query.by, query.label);
      const { from, to } = readDays(query);
      const teamId = await teamAsked(request, query.team);
      const found = await deps.database.usage.sum(teamId, {
        from,
        to,
        by,
        label: query.label ?? null,
        limit: MOST_ROWS + 1,
      });
      if (found.length > MOST_ROWS)
        throw new InputError('limit_exceeded', `these are more than ${MOST_ROWS} rows; ask for fewer days or groups`);
      const rows = found.map(presentUsage);
      const csv =
        query.format === undefined ? prefers(request, 'text/csv', 'application/json') : query.format === 'csv';
      if (!csv) return reply.send({ from, to, by, data: rows, total: totalOf(rows) });
      return reply
        .type('text/csv; charset=utf-8')
        .header('Content-Disposition', `attachment; filename="usage-${from}-${to}.csv"`)
        .send(usageCsv(rows));
    },
  );
};
