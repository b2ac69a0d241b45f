import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { RouteOptions } from '../deps.js';
import { createTeam } from './create.js';
import { getTeam } from './get.js';
import { createKey } from './keys/create.js';
import { getKey } from './keys/get.js';
import { listKeys } from './keys/list.js';
import { revokeKey } from './keys/revoke.js';
import { listTeams } from './list.js';
import { removeTeam } from './remove.js';
import { updateTeam } from './update.js';

export const teamRoutes: FastifyPluginAsyncTypebox<RouteOptions> = async (app, options) => {
  const ofKeys = [createKey, listKeys, getKey, revokeKey];
  for (const route of [...ofKeys, removeTeam, createTeam, listTeams, getTeam, updateTeam])
    await app.register(route, options);
};
