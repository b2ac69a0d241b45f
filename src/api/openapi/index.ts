import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyContextConfig, FastifyInstance, FastifySchema } from 'fastify';
import { Type } from 'typebox';
import { Components } from './components.js';
import { ANSWER_HEADERS } from './headers.js';
import { describeOperation, ROUTE, type Route } from './operation.js';
import { isObject, plainContent, type Json } from './plain-schema.js';

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

const DESCRIPTION = `Compresses trained convolutional networks: submit a model, poll the job, download the smaller model.

\`x-scopes\` of a call: a key needs one of them. Errors are \`application/problem+json\`; programs look at \`code\`. Bodies are sent as
they are: one with a \`Content-Encoding\` is 415 at every call. What is not HTTP is answered before any call is found: 408, 414 or 431.`;

/** Any one of them opens the call; none: it needs no key. */
const scopesOf = (scope: FastifyContextConfig['scope']): readonly string[] =>
  scope === undefined || scope === 'public' ? [] : typeof scope === 'string' ? [scope] : scope;

const mapEntries = (given: unknown, change: (value: unknown) => unknown): Json =>
  Object.fromEntries(Object.entries(isObject(given) ? given : {}).map(([name, value]) => [name, change(value)]));

/** The schemas of a route in plain words, and what else the document says of it. */
function describeRoute(schema: FastifySchema, config: FastifyContextConfig): FastifySchema {
  const { operationId = '', body, querystring, params, headers, response, ...rest } = schema;
  const route: Route = {
    ...config.doc,
    operationId,
    scopes: scopesOf(config.scope),
    labels: isObject(querystring) && querystring['patternProperties'] !== undefined,
    multipart: isObject(body) && isObject(body['content']) && 'multipart/form-data' in body['content'],
  };
  const sent = Object.entries({ body, querystring, params, headers }).filter(([, part]) => part !== undefined);
  return {
    ...rest,
    ...Object.fromEntries(sent.map(([name, part]) => [name, plainContent(part, 'sent')])),
    ...(response === undefined ? {} : { response: mapEntries(response, (one) => plainContent(one, 'answered')) }),
    [ROUTE]: route,
  } as FastifySchema;
}

/** The whole document, with named schemas. */
function describeAll({ paths, components, ...rest }: Json): Json {
  const operations = mapEntries(paths, (item) =>
    Object.fromEntries(
      Object.entries(item as Json).map(([method, operation]) => [method, describeOperation(method, operation as Json)]),
    ),
  );
  const named = new Components();
  const answered = (item: unknown) =>
    mapEntries(item, (operation) => {
      const { responses, ...request } = operation as Json;
      return { ...request, responses: named.named(responses, 'answered') };
    });
  const sent = (item: unknown) =>
    mapEntries(item, (operation) => {
      const { responses, ...request } = operation as Json;
      return { ...(named.named(request, 'sent') as Json), responses };
    });
  const whole = mapEntries(mapEntries(operations, answered), sent);
  return {
    ...rest,
    paths: whole,
    components: { ...(components as Json), headers: ANSWER_HEADERS, schemas: named.schemas },
  };
}

export async function registerOpenApi(app: FastifyInstance, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Sparank',
        version,
        description: DESCRIPTION,
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [
        { url: '/', description: 'the service that this document came from' },
        { url: 'http://127.0.0.1:8080', description: '`sparank start` on this machine' },
      ],
      tags: [
        { name: 'uploads', description: 'files that jobs use' },
        { name: 'jobs', description: 'compression jobs and what they make' },
        { name: 'webhooks', description: 'messages about ended jobs, by the Standard Webhooks specification' },
        { name: 'pool', description: 'the shared workers' },
        { name: 'teams', description: 'teams, their keys, limits and usage' },
        { name: 'admin', description: 'what operators do across teams' },
        { name: 'service', description: 'health and metrics' },
      ],
      components: { securitySchemes: { key: { type: 'http', scheme: 'bearer', description: 'an API key' } } },
      security: [{ key: [] }],
    },
    transform: ({ schema, url, route }) => ({ schema: describeRoute(schema, route.config ?? {}), url }),
    transformObject: (document) =>
      'openapiObject' in document
        ? (describeAll(document.openapiObject as Json) as typeof document.openapiObject)
        : document.swaggerObject,
  });
  let document: string | undefined;
  app.get(
    '/openapi.json',
    {
      config: { scope: 'public' },
      schema: {
        operationId: 'getOpenApi',
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
