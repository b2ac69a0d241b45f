export type { ApiDeps, CheckSubmission, SubmittedFiles } from './deps.js';
export { webhookBody } from './webhooks/body.js';
export { startApi, type ApiServer } from './server.js';
