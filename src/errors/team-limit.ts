import { InputError } from './index.js';

/** What a team has no room for, by the name that the limit has in `GET /teams/self`: settings are the operator's. */
export const beyondLimit = (limit: 'queued_jobs' | 'storage_bytes', detail: string): InputError =>
  new InputError('limit_exceeded', `${limit}: ${detail}`, { faults: [{ pointer: `#team/limits/${limit}`, detail }] });
