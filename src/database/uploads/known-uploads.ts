import { remembered } from '../connection/remembered.js';
import { isNamed, type UploadRecord } from '../records.js';
import type { Notifications, UploadRepository } from '../repositories.js';

const SUBMISSIONS = 1_000;

/**
 * The uploads that submissions name: the same few again and again. Whether they are still there is seen once more by
 * the statement that makes the job, which holds them.
 */
export function withKnownUploads(
  uploads: UploadRepository,
  notifications: Pick<Notifications, 'subscribe'>,
): UploadRepository {
  const known = remembered<UploadRecord[]>(notifications, SUBMISSIONS);
  const forget = () => known.forget();
  return {
    ...uploads,
    async find(teamId, names) {
      let found: UploadRecord[] = [];
      // What is missing may come at any moment.
      const look = async () => {
        found = await uploads.find(teamId, names);
        return names.every((name) => found.some((upload) => isNamed(name, upload))) ? found : null;
      };
      return (await known.find(JSON.stringify([teamId, names]), [], look)) ?? found;
    },
    create: (...created) => uploads.create(...created).finally(forget),
    remove: (...removed) => uploads.remove(...removed).finally(forget),
  };
}
