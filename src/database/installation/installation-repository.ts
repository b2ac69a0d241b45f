import type { DatabaseContext } from '../connection/context.js';
import { newId } from '../connection/ids.js';
import type { SweepHolds } from '../records.js';
import type { InstallationRepository } from '../repositories.js';

interface Row {
  id: string;
  storageId: string | null;
}

export function installationRepository({ prisma }: DatabaseContext): InstallationRepository {
  async function get(): Promise<Row | null> {
    const [row] = await prisma.$queryRaw<Row[]>`select id, storage_id as "storageId" from installation`;
    return row ?? null;
  }

  async function make(): Promise<Row> {
    // The id is made here and not by the migration: databases made from one template are different installations.
    await prisma.$executeRaw`insert into installation (id) values (${newId('ins')}) on conflict do nothing`;
    const row = await get();
    if (row === null) throw new Error('the installation has no row');
    return row;
  }

  return {
    get,
    make,

    async bindStorage(storageId) {
      const [row] = await prisma.$queryRaw<{ storageId: string }[]>`
      update installation set storage_id = coalesce(storage_id, ${storageId}) returning storage_id as "storageId"`;
      return row?.storageId ?? storageId;
    },

    async rebindStorage(storageId) {
      await prisma.$executeRaw`update installation set storage_id = ${storageId}`;
    },

    async sweepHolds() {
      const [row] = await prisma.$queryRaw<{ holds: SweepHolds }[]>`select sweep_holds as holds from installation`;
      return row?.holds ?? {};
    },

    async holdSweep(what, hold) {
      if (hold !== null) await make();
      // Several processes find the same: the first to stop says since when.
      await prisma.$executeRaw`
      update installation set sweep_holds = case when ${hold === null} then sweep_holds - ${what}
        else jsonb_set(sweep_holds, array[${what}], ${JSON.stringify(hold)}::jsonb
          || jsonb_strip_nulls(jsonb_build_object('since', sweep_holds->${what}->'since'))) end
      where ${hold !== null} or sweep_holds ? ${what}`;
    },
  };
}
