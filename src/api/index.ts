export { buildApp } from './app.js';
export { ensureBootstrapKey, keyFile, type BootstrapKey } from '../service/bootstrap-key.js';
export type { ApiDeps, CheckSubmission, SubmittedFiles } from './deps.js';
export { startApi, type ApiServer } from './server.js';
