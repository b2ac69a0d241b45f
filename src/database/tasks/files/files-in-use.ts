import { outputPrefix } from '../../../jobs/files.js';
import type { TaskKind } from '../../../jobs/tasks.js';
import type { DatabaseContext } from '../../connection/context.js';
import { workIsGone } from '../../jobs/job-state.js';
import type { PoolRepository } from '../../repositories.js';

interface Row {
  id: string;
  tasks: { taskId: string; kind: TaskKind; attempt: number; used: boolean }[];
  artifacts: string[];
}

export function filesInUse({ prisma, settings }: DatabaseContext): PoolRepository['filesInUse'] {
  return async (jobIds) => {
    // The files of a finished evaluation are its artifacts, which have a life of their own.
    const rows = await prisma.$queryRaw<Row[]>`
      select jobs.id, array(select storage_key from artifacts where job_id = jobs.id) as artifacts,
        (select coalesce(json_agg(json_build_object('taskId', t.id, 'kind', t.kind, 'attempt', t.attempt,
            'used', t.state = 'running' or (t.state = 'succeeded' and t.kind <> 'evaluate' and not ${workIsGone(settings)}))), '[]')
          from tasks t where t.job_id = jobs.id) as tasks
      from jobs where jobs.id = any(${jobIds})`;
    return new Map(
      rows.map(({ id, tasks, artifacts }) => [
        id,
        {
          inUse: [
            ...tasks.filter(({ used }) => used).map((task) => outputPrefix({ jobId: id, ...task })),
            ...artifacts,
          ],
          attempts: new Map(
            tasks.map(({ taskId, kind, attempt }) => [kind === 'evaluate' ? 'evaluate' : taskId, attempt]),
          ),
        },
      ]),
    );
  };
}

export function uploadsInUse({ prisma }: DatabaseContext): PoolRepository['uploadsInUse'] {
  return async (keys) => {
    const rows = await prisma.upload.findMany({ where: { storageKey: { in: keys } }, select: { storageKey: true } });
    return new Set(rows.map(({ storageKey }) => storageKey));
  };
}
