/** The client of the HTTP interface, for browsers and everything that has `fetch`. `node/` adds files. */
export type { Content, FileToSend, Uploads } from './uploads.js';
export type { DownloadOptions } from './download.js';
export type { EventOptions } from './events.js';
export type { Retry, TransportOptions } from './transport.js';
export type { WaitOptions } from './wait.js';
export type * from './types.js';
export { ClientError, ConnectionError, DamagedError, JobEndedError, ServiceError, type Fault } from './errors.js';
export { Job } from './job.js';
export { Jobs, type Estimate, type LayerOptions, type SubmitOptions } from './jobs.js';
export { hasEnded } from './wait.js';
export { Sparank, type CompressOptions, type Source } from './sparank.js';
export type { components, paths } from './openapi.js';
