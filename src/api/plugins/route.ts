import type { FastifyRequest } from 'fastify';

/** Asked every few seconds by machines. */
const PROBES = new Set(['/healthz', '/readyz', '/metrics']);

/** The path of the route as it is declared, never the URL with its ids. */
export const routeOf = (request: FastifyRequest): string =>
  request.is404 ? 'none' : (request.routeOptions.url ?? 'none');

export const isProbe = (route: string): boolean => PROBES.has(route);
