import type { components } from './openapi.js';

type Schemas = components['schemas'];

export type JobView = Schemas['Job'];
export type Artifact = Schemas['Artifact'];
export type Layer = Schemas['LayerRow'];
export type JobEvent = Schemas['Event'];
export type Upload = Schemas['Upload'];
export type Problem = Schemas['Problem'];
export type Metrics = NonNullable<JobView['metrics']>;
export type Verdict = NonNullable<JobView['verdict']>;

/** What may be left out, because the service has a default for it. */
type Loose<T> = T extends readonly unknown[] ? T : T extends object ? { [K in keyof T]?: Loose<T[K]> | undefined } : T;

type Request = Schemas['SpecRequest'];
export type Target = NonNullable<Request['target']>;

/** A specification with its files named as uploads or URLs. */
export type JobSpec = Pick<Request, 'model' | 'calibration'> & Loose<Omit<Request, 'model' | 'calibration'>>;

/** Everything of a specification but its files. */
export type JobOptions = Loose<Omit<Request, 'model' | 'calibration' | 'evaluation'>>;

export interface Page<T> {
  data: T[];
  has_more: boolean;
  next: string | null;
}

export interface ListOptions {
  limit?: number | string;
  after?: string;
  /** One or more, with commas or as a list. */
  status?: string | JobView['status'][];
  labels?: Record<string, string>;
  created_after?: string;
  signal?: AbortSignal;
}
