import type { FastifyRequest } from 'fastify';

declare module 'fastify' {
  interface FastifyRequest {
    /** See {@link routeOf}. */
    routeName?: string;
  }
}

/** Asked every few seconds by machines. */
const PROBES = new Set(['/healthz', '/readyz', '/metrics']);

/** The path of the route as it is declared, never the URL with its ids. What the framework tells it from is made anew
 * each time. */
export const routeOf = (request: FastifyRequest): string =>
  (request.routeName ??= request.is404 ? 'none' : (request.routeOptions.url ?? 'none'));

export const isProbe = (route: string): boolean => PROBES.has(route);
