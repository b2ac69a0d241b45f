import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { RouteOptions } from '../deps.js';
import { jobActions } from './actions.js';
import { cancelJobs } from './cancel-many.js';
import { jobArtifacts } from './artifacts.js';
import { jobEvents } from './live/events.js';
import { getJob } from './get.js';
import { jobLayers } from './layers.js';
import { listJobs } from './list.js';
import { jobTasks } from './tasks.js';
import { teamEvents } from './live/team-events.js';
import { submitJob } from './submit/index.js';

export const jobRoutes: FastifyPluginAsyncTypebox<RouteOptions> = async (app, options) => {
  for (const route of [
    submitJob,
    listJobs,
    getJob,
    jobLayers,
    jobTasks,
    jobEvents,
    jobArtifacts,
    jobActions,
    cancelJobs,
    teamEvents,
  ]) {
    await app.register(route, options);
  }
};
