import type { components } from '../../../src/client/openapi.js';

/** What the interface answers with, as its OpenAPI document says. */
type Schemas = components['schemas'];
export type Job = Schemas['Job'];
export type JobRow = Schemas['JobRow'];
export type JobStatus = Job['status'];
export type Place = Schemas['QueuePlace'];
export type Artifact = Schemas['Artifact'];
export type Point = Schemas['Point'];
export type Metrics = Schemas['Metrics'];
export type Verdict = Schemas['Verdict'];
export type LayerRow = Schemas['LayerRow'];
export type JobEvent = Schemas['Event'];
export type Pool = Schemas['Pool'];
export type PoolHistory = Schemas['PoolHistory'];
export type Worker = Schemas['Worker'];
export type Team = Schemas['TeamInUse'];
export type ApiKey = Schemas['ApiKey'];
export type NewKey = Schemas['NewApiKey'];
export type Usage = Schemas['Usage'];
export type Delivery = Schemas['WebhookDelivery'];
export type AuditEntry = Schemas['AuditEntry'];
export type Session = Schemas['Session'];
export type Problem = Schemas['Problem'];
export type Spec = Schemas['Spec'];
export type Target = Schemas['Target'];
export type Upload = Schemas['Upload'];
export type Scope = Session['key']['scopes'][number];

export interface Page<T> {
  data: T[];
  has_more: boolean;
  next: string | null;
}
