import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import type { Log } from '../../observability/log.js';
import { PostgresClient } from './postgres-client.js';
import type { Notifications } from '../repositories.js';

/** The one channel; the payload is the topic, and what it is about behind a space. */
const CHANNEL = 'sparank';
/** A connection that only listens does not notice that the other end has gone. */
const PING_MS = 10_000;
const RECONNECT_MS = [50, 100, 250, 500, 1000, 2000];

/** In place of a team: all of them. */
const EVERY = '*';

/** How the server lists the connection. */
export const sessionName = (session: string): string => `${SESSION}${session}`;
export const SESSION = 'sparank listen ';

export interface Listener extends Notifications {
  close(): Promise<void>;
}

/** Topics of workers, who learn the same from their next sign of life. */
const OF_WORKERS = /^(cancel|worker):/;

/**
 * One connection of this process, opened with the first subscription and opened again whenever it is lost. PostgreSQL
 * wakes everyone who listens for every notification: `quiet` processes, of which there are many, listen only while they
 * subscribe to more than the topics of workers.
 */
export function listen(url: string, logger: Log, quiet = false): Listener {
  const session = randomBytes(9).toString('hex');
  const subscribers = new Map<string, Set<(about?: string) => void>>();
  let client: pg.Client | null = null;
  let timer: NodeJS.Timeout | null = null;
  let closed = false;
  let failures = 0;
  /** The connection that listens. */
  let listening: pg.Client | null = null;

  /** Topics besides those of workers. */
  let others = 0;
  const count = (topic: string, by: 1 | -1) => {
    if (!OF_WORKERS.test(topic)) others += by;
  };
  const wanted = () => !quiet || others > 0;
  /** Listens, or does so no more, as the subscriptions want it. */
  async function adjust(open: pg.Client): Promise<void> {
    if (wanted() === (listening === open)) return;
    listening = wanted() ? open : null;
    await open.query(listening === null ? `unlisten ${CHANNEL}` : `listen ${CHANNEL}`);
    if (listening === open) callAll();
  }
  let ready: pg.Client | null = null;
  const subscriptionsChanged = () => {
    const open = ready;
    if (open !== null && open === client) adjust(open).catch(() => lost(open));
  };

  const call = (topic: string, about?: string) => {
    for (const callback of [...(subscribers.get(topic) ?? [])]) callback(about);
    const kind = /^(team|removed):/.exec(topic)?.[1];
    if (kind !== undefined && !topic.endsWith(EVERY)) call(`${kind}:${EVERY}`, about);
  };
  const callAll = () => {
    for (const callbacks of [...subscribers.values()]) for (const callback of [...callbacks]) callback();
  };
  const received = (payload: string) => {
    const [topic = '', about] = payload.split(' ');
    call(topic, about);
  };

  const lost = (lostClient: pg.Client) => {
    if (closed || client !== lostClient) return;
    client = null;
    void lostClient.end().catch(() => undefined);
    const wait = RECONNECT_MS[Math.min(failures++, RECONNECT_MS.length - 1)] ?? 1000;
    timer = setTimeout(() => {
      timer = null;
      void connect();
    }, wait);
  };

  async function connect(): Promise<void> {
    const next = new PostgresClient({
      connectionString: url,
      keepAlive: true,
      connectionTimeoutMillis: 5000,
      application_name: sessionName(session),
    });
    client = next;
    next.on('notification', ({ payload }) => received(payload ?? ''));
    next.on('error', () => lost(next));
    next.on('end', () => lost(next));
    try {
      await next.connect();
      ready = next;
      await adjust(next);
      failures = 0;
      const ping = setInterval(() => void next.query('select 1').catch(() => lost(next)), PING_MS).unref();
      next.once('end', () => clearInterval(ping));
      if (listening !== next) callAll();
    } catch (error) {
      logger.warn({ err: error }, 'the database does not notify; trying again');
      lost(next);
    }
  }

  return {
    session,
    subscribe(topic, callback) {
      // A wrapper of its own, so that the same function may subscribe twice.
      const entry = (about?: string) => callback(about);
      if (!subscribers.has(topic)) count(topic, 1);
      const callbacks = subscribers.get(topic) ?? new Set();
      subscribers.set(topic, callbacks.add(entry));
      if (client === null && timer === null && !closed) void connect();
      subscriptionsChanged();
      return () => {
        callbacks.delete(entry);
        if (callbacks.size > 0 || subscribers.get(topic) !== callbacks) return;
        subscribers.delete(topic);
        count(topic, -1);
        if (!closed) subscriptionsChanged();
      };
    },
    async close() {
      closed = true;
      if (timer !== null) clearTimeout(timer);
      subscribers.clear();
      await client?.end().catch(() => undefined);
    },
  };
}
