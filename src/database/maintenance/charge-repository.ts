import type { DatabaseContext } from '../connection/context.js';
import type { ChargeRepository } from '../repositories.js';

/** A process that is silent for so long has the charge no more. */
const CHARGE_SECONDS = 3;

export const chargeRepository = ({ prepared }: DatabaseContext): ChargeRepository => ({
  async take(part, holder) {
    const rows = await prepared(
      'take charge',
      `insert into in_charge as c (part, holder, until, processes)
       values ($1, $2, clock_timestamp() + make_interval(secs => $3), (select count(*) from workers))
       on conflict (part) do update set holder = excluded.holder, until = excluded.until, processes = excluded.processes
       where c.holder = excluded.holder or c.until < clock_timestamp() returning part`,
      [part, holder, CHARGE_SECONDS],
    );
    return rows.length === 1;
  },

  async look(part) {
    const [row] = await prepared<{ taken: boolean; processes: number }>(
      'look for charge',
      'select until > clock_timestamp() as taken, processes from in_charge where part = $1',
      [part],
    );
    return row ?? { taken: false, processes: 0 };
  },

  async leave(part, holder) {
    await prepared('leave charge', 'delete from in_charge where part = $1 and holder = $2', [part, holder]);
  },
});
