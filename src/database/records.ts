/** What the repositories hand out: plain values, names as in TypeScript, times as `Date`. */
export * from './audit/records.js';
export * from './installation/records.js';
export * from './jobs/records.js';
export * from './ledger/records.js';
export * from './page.js';
export * from './predictions/records.js';
export * from './tasks/records.js';
export * from './teams/records.js';
export * from './uploads/records.js';
export * from './usage/records.js';
export * from './webhooks/records.js';
export * from './workers/records.js';
