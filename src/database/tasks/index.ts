import type { DatabaseContext } from '../connection/context.js';
import type { PoolRepository } from '../repositories.js';
import { backlog } from './overview/backlog.js';
import { claim } from './claim.js';
import { expire, expireRows } from './files/expire.js';
import { filesInUse, uploadsInUse } from './files/files-in-use.js';
import { fail, requeueElsewhere, requeue } from './fail.js';
import { heartbeat } from './heartbeat.js';
import { history } from './overview/history.js';
import { neededFiles } from './files/needed-files.js';
import { overview } from './overview/overview.js';
import { reconcile } from './reconcile.js';
import { release, unrelease } from './release/release.js';
import { succeed } from './succeed.js';

export const poolRepository = (context: DatabaseContext): PoolRepository => ({
  claim: claim(context),
  heartbeat: heartbeat(context),
  succeed: succeed(context),
  fail: fail(context),
  requeue: requeue(context),
  requeueElsewhere: requeueElsewhere(context),
  release: release(context),
  unrelease: unrelease(context),
  reconcile: reconcile(context),
  overview: overview(context),
  history: history(context),
  backlog: backlog(context),
  expire: expire(context),
  expireRows: expireRows(context),
  filesInUse: filesInUse(context),
  uploadsInUse: uploadsInUse(context),
  neededFiles: neededFiles(context),
});
