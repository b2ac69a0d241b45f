import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyContextConfig, FastifyInstance, FastifySchema } from 'fastify';
import { Type } from 'typebox';

/** For the page with the documentation: its own files, and nothing that turns plain http into https. */
const DOCS_POLICY = {
  'default-src': "'self'",
  'base-uri': "'self'",
  'frame-ancestors': "'self'",
  'img-src': "'self' data:",
  'object-src': "'none'",
  'script-src-attr': "'none'",
  'style-src': "'self' 'unsafe-inline'",
};

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

/** `$id` becomes `title`: the generator drops the one and keeps the other. */
function titled(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(titled);
  if (!isObject(value)) return value;
  const { $id: id, ...rest } = value;
  const inside = Object.fromEntries(Object.entries(rest).map(([key, item]) => [key, titled(item)]));
  return typeof id === 'string' ? { ...inside, title: id } : inside;
}

/** Moves every schema with a title to the components, once, and refers to it: generated clients get types with names. */
function nameSchemas(value: unknown, components: Record<string, unknown>): unknown {
  if (Array.isArray(value)) return value.map((item) => nameSchemas(item, components));
  if (!isObject(value)) return value;
  const named = Object.fromEntries(Object.entries(value).map(([key, item]) => [key, nameSchemas(item, components)]));
  const { title } = named;
  if (typeof title !== 'string') return named;
  components[title] = named;
  return { $ref: `#/components/schemas/${title}` };
}

/** Any one of them opens the call; none: it needs no key. */
const scopesOf = (scope: FastifyContextConfig['scope']): readonly string[] =>
  scope === undefined || scope === 'public' ? [] : typeof scope === 'string' ? [scope] : scope;

export async function registerOpenApi(app: FastifyInstance, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Sparank',
        version,
        description:
          'Compresses trained convolutional networks: submit a model, poll the job, download the smaller model. ' +
          '`x-scopes` of a call: a key needs one of them.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      tags: [
        { name: 'uploads', description: 'files that jobs use' },
        { name: 'jobs', description: 'compression jobs and what they make' },
        { name: 'webhooks', description: 'messages about ended jobs, by the Standard Webhooks specification' },
        { name: 'pool', description: 'the shared workers' },
        { name: 'teams', description: 'teams, their keys, limits and usage' },
        { name: 'admin', description: 'what operators do across teams' },
        { name: 'service', description: 'health and metrics' },
      ],
      components: { securitySchemes: { key: { type: 'http', scheme: 'bearer' } } },
      security: [{ key: [] }],
    },
    transform: ({ schema, url, route }) => ({
      schema: { ...(titled(schema) as FastifySchema), 'x-scopes': scopesOf(route.config?.scope) } as FastifySchema,
      url,
    }),
    transformObject: (document) => {
      if (!('openapiObject' in document)) return document.swaggerObject;
      const { components, paths, ...rest } = document.openapiObject;
      const schemas: Record<string, unknown> = {};
      const named = nameSchemas(paths, schemas);
      return { ...rest, paths: named, components: { ...components, schemas } } as typeof document.openapiObject;
    },
  });
  let document: string | undefined;
  app.get(
    '/openapi.json',
    {
      config: { scope: 'public' },
      schema: {
        tags: ['service'],
        summary: 'This description',
        security: [],
        response: { 200: Type.Object({}, { description: 'OpenAPI 3.1', additionalProperties: true }) },
      },
    },
    async (_request, reply) => {
      document ??= JSON.stringify(app.swagger());
      return reply
        .type('application/json; charset=utf-8')
        .serializer((text: string) => text)
        .send(document);
    },
  );
  await app.register(async (ui) => {
    ui.addHook('onRoute', (route) => {
      route.config = { ...route.config, scope: 'public' };
    });
    await ui.register(swaggerUi, {
      routePrefix: '/docs',
      staticCSP: DOCS_POLICY,
      // By default the page shows this document to a service of others.
      uiConfig: { validatorUrl: null },
    });
  });
}
