import type { FastifyReply, FastifyRequest } from 'fastify';

/**
 * A hook of every request that waits for nothing. As an async function it would cost the request a promise and a turn
 * of the microtasks; there are about ten of them, and most requests are polls that are answered from memory.
 */
export const inOrder =
  (hook: (request: FastifyRequest, reply: FastifyReply) => void) =>
  (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void => {
    try {
      hook(request, reply);
    } catch (error) {
      done(error instanceof Error ? error : new Error('a hook failed', { cause: error }));
      return;
    }
    done();
  };
