import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom } from '../../src/compression/linalg/random.js';
import type { JobFiles } from '../support/files.js';
import { auditJob, auditRest } from './audit.js';
import type { Deployment } from './deployment.js';
import { drawFault, type Fault, FAULTS } from './faults.js';
import { openSubmitter } from './submit.js';

export interface SiegeOptions {
  seed: number;
  /** Jobs in flight. */
  jobs: number;
  /** Mean time between two faults. */
  pauseMs: number;
  /** Jobs that were accepted before. @defaultValue 0 */
  before?: number;
  /** Whether another fault follows. */
  goOn(done: number): boolean;
  /** What is drawn from. @defaultValue everything */
  faults?: readonly Fault[];
  /** One fault after the other in this order, before the drawn ones; what cannot be done is passed over. */
  first?: readonly Fault[];
  onNote?: (text: string) => void;
  /** Every job has ended; the service still runs. */
  onQuiet?: () => Promise<void>;
}

export interface SiegeReport {
  faults: Map<string, number>;
  accepted: number;
  ended: Map<string, number>;
  /** Attempts beyond the first, of all tasks. */
  repeated: number;
  /** Different bytes of the same model: 1, as all jobs are the same. */
  models: number;
  exits: Map<string, number>;
  restarts: number;
  swept: number;
  /** Files of canceled jobs that were kept for a retry. */
  canceled: number;
  partial: number;
  stale: number;
  wrong: string[];
}

/** On a machine that does other work too. */
const JOB_SECONDS = 900;
/** One job in so many is canceled. */
const CANCELED = 10;

const count = (map: Map<string, number>, name: string) => map.set(name, (map.get(name) ?? 0) + 1);

/** Keeps jobs coming, does one fault after the other, and checks every accepted job and what is left at the end. */
export async function besiege(deployment: Deployment, files: JobFiles, options: SiegeOptions): Promise<SiegeReport> {
  const random = seededRandom(options.seed);
  const report: SiegeReport = {
    faults: new Map(),
    accepted: 0,
    ended: new Map(),
    repeated: 0,
    models: 0,
    exits: new Map(),
    restarts: 0,
    swept: 0,
    canceled: 0,
    partial: 0,
    stale: 0,
    wrong: [],
  };
  const models = new Set<string>();
  const keys = new Map<string, string>();
  const { submit } = await openSubmitter(deployment, files);
  let over = false;

  const workerClass = async () => {
    while (!over) {
      try {
        const { id, key } = await submit();
        if (keys.has(id)) report.wrong.push(`${id} was accepted twice`);
        keys.set(id, key);
        report.accepted++;
        const canceled = report.accepted % CANCELED === 0;
        if (canceled) {
          await sleep(random() * 2000);
          await deployment.client.act(id, 'cancel').catch(() => undefined);
        }
        const audit = await auditJob(deployment, { id, key, canceled }, JOB_SECONDS);
        count(report.ended, audit.status);
        report.repeated += audit.attempts;
        report.wrong.push(...audit.faults);
        if (audit.model !== null) models.add(audit.model);
      } catch (error) {
        report.wrong.push(describe(error));
        await sleep(1000);
      }
    }
  };
  const classes = Array.from({ length: options.jobs }, workerClass);

  const first = [...(options.first ?? [])];
  for (let done = 0; options.goOn(done);) {
    await sleep(-Math.log(1 - random()) * options.pauseMs);
    const fault = first.shift() ?? drawFault(options.faults ?? FAULTS, random);
    await deployment.note(fault.name);
    try {
      if (!(await fault.run(deployment, random))) continue;
    } catch (error) {
      report.wrong.push(`${fault.name}: ${describe(error)}`);
    }
    done++;
    count(report.faults, fault.name);
    // A service that never comes up again between two faults would only show that.
    await deployment
      .answers(120)
      .catch((error: unknown) => report.wrong.push(`after ${fault.name}: ${describe(error)}`));
    options.onNote?.(
      `${String(done)}: ${fault.name}; ${String(report.accepted)} jobs, ${String(report.wrong.length)} wrong`,
    );
  }
  over = true;
  await Promise.all(classes);
  // A restored dump brings jobs back to life that had been looked at.
  const revived = await deployment.query<{ id: string }>(
    "select id from jobs where status not in ('succeeded', 'failed', 'canceled')",
  );
  for (const { id } of revived)
    report.wrong.push(...(await auditJob(deployment, { id, canceled: true }, JOB_SECONDS)).faults);
  await options.onQuiet?.();

  const [jobs] = await deployment.query<{ n: number }>('select count(*)::int as n from jobs');
  const forgotten = [...keys.keys()].filter((id) => deployment.forgotten.has(id)).length;
  if (jobs?.n !== report.accepted - forgotten + (options.before ?? 0))
    report.wrong.push(
      `${String(jobs?.n)} jobs are recorded, ${String(report.accepted)} were accepted, ${String(forgotten)} of them after a dump`,
    );
  for (const { kind, how } of deployment.exits) count(report.exits, `${kind}: ${how}`);
  report.restarts = deployment.restarts;
  const rest = await auditRest(deployment);
  report.models = models.size;
  if (models.size > 1) report.wrong.push(`the same job made ${String(models.size)} different models`);
  report.wrong.push(...rest.faults);
  return { ...report, swept: rest.swept, canceled: rest.canceled, partial: rest.partial, stale: rest.stale };
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}: ${describe(error.cause)}`;
}
