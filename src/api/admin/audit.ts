import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type, type Static } from 'typebox';
import { AUDIT_ACTIONS, type AuditAction, type AuditFilter, type AuditRecord } from '../../database/records.js';
import type { RouteOptions } from '../deps.js';
import { Limit, Nullable, page, PageOf, Time } from '../schemas.js';
import { queryFault, readTime } from '../validation.js';

const EntrySchema = Type.Object(
  {
    id: Type.String(),
    object: Type.Literal('audit_entry'),
    at: Time,
    action: Type.Enum([...AUDIT_ACTIONS]),
    actor: Nullable(
      Type.Object(
        {
          key_id: Type.String(),
          key_prefix: Type.String(),
          team_id: Type.String(),
          request_id: Type.String({ description: 'as in the log' }),
          address: Type.String(),
        },
        { description: 'whose key it was; null: the service itself, by its settings' },
      ),
    ),
    team_id: Nullable(Type.String({ description: 'the team that it was done to' })),
    subject: Type.String({ description: 'id of what it was done to' }),
    detail: Type.Record(Type.String(), Type.Unknown()),
  },
  { $id: 'AuditEntry' },
);

const isAction = (name: string): name is AuditAction => AUDIT_ACTIONS.some((action) => action === name);

function readActions(given: string): AuditAction[] {
  return given.split(',').map((name) => {
    if (!isAction(name)) throw queryFault('action', `must be one or more of ${AUDIT_ACTIONS.join(', ')}, with commas`);
    return name;
  });
}

const present = ({ actor, ...entry }: AuditRecord): Static<typeof EntrySchema> => ({
  id: entry.id,
  object: 'audit_entry',
  at: entry.at.toISOString(),
  action: entry.action,
  actor: actor && {
    key_id: actor.keyId,
    key_prefix: actor.keyPrefix,
    team_id: actor.teamId,
    request_id: actor.requestId,
    address: actor.address,
  },
  team_id: entry.teamId,
  subject: entry.subject,
  detail: entry.detail,
});

export const adminAudit: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  app.get(
    '/admin/audit',
    {
      config: { scope: 'admin' },
      schema: {
        operationId: 'listAuditEntries',
        tags: ['admin'],
        summary: 'Who changed keys, teams and what belongs to others, newest first',
        querystring: Type.Object(
          {
            limit: Limit,
            after: Type.Optional(Type.String({ description: '`next` of the page before' })),
            team: Type.Optional(Type.String({ description: 'what was done to this team' })),
            action: Type.Optional(Type.String({ description: 'one or more, with commas' })),
            subject: Type.Optional(Type.String({ description: 'id of a key, team, job or worker' })),
            created_after: Type.Optional(Type.String({ description: 'RFC 3339' })),
          },
          { additionalProperties: false },
        ),
        response: { 200: PageOf(EntrySchema, 'AuditPage') },
      },
    },
    async (request) => {
      const { limit, after, team, action, subject, created_after } = request.query;
      const filter: AuditFilter = { limit };
      if (after !== undefined && !/^\d{1,18}$/.test(after)) throw queryFault('after', 'is not the `next` of a page');
      if (after !== undefined) filter.after = after;
      if (team !== undefined) filter.teamId = team;
      if (action !== undefined) filter.action = readActions(action);
      if (subject !== undefined) filter.subject = subject;
      if (created_after !== undefined) filter.createdAfter = readTime(created_after, '#query/created_after');
      const { data, hasMore } = await deps.database.audit.list(filter);
      return page(data, hasMore, present, ({ id }) => id);
    },
  );
};
