import { setTimeout } from 'node:timers/promises';
import rateLimit, { normalizeIP } from '@fastify/rate-limit';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Config } from '../../config/index.js';
import type { StoredKey } from '../../database/records.js';
import type { KeyRepository } from '../../database/repositories.js';
import { InputError } from '../../errors/index.js';

const WINDOW_MS = 60_000;
/** Addresses whose tries are remembered; the least recent ones are forgotten first. */
const ADDRESSES = 20_000;
/** An address that sends anything longer is cut: behind a trusted proxy this is text from a header. */
const ADDRESS_LENGTH = 64;
/** Keys from addresses over the limit are looked up together, so often. */
const GATHER_MS = 100;
/** Keys of one such look; those beyond are taken for bad ones. */
const GATHERED_KEYS = 1000;

export interface KeyLookup {
  /** The usable key with this hash (hex SHA-256). */
  byHash(request: FastifyRequest, hash: string): Promise<StoredKey | null>;
  byId(request: FastifyRequest, keyId: string): Promise<StoredKey | null>;
  /** Counts what was sent as a bad key of the caller's address: the error to answer with. */
  refusal(request: FastifyRequest, detail: string): Promise<InputError>;
}

type Found = Promise<StoredKey | null>;

/**
 * One query every {@link GATHER_MS} for everything that is asked for meanwhile, however much it is.
 * What is at the end is null for a good key only when {@link GATHERED_KEYS} others were before it.
 */
function gathered(load: (keys: Set<string>) => Promise<StoredKey[]>): (key: string) => Promise<StoredKey[]> {
  let next: { keys: Set<string>; found: Promise<StoredKey[]> } | null = null;
  return async (key) => {
    if (next === null) {
      const keys = new Set<string>();
      const found = setTimeout(GATHER_MS).then(() => {
        next = null;
        return load(keys);
      });
      next = { keys, found };
    }
    if (next.keys.size < GATHERED_KEYS) next.keys.add(key);
    return next.found;
  };
}

/**
 * Finds keys. Each call looks for its own, until an address has sent `INVALID_KEYS_PER_MINUTE` that are none: from then
 * on its keys are looked up in one query with all others of that kind, ten times a second. Guessing costs the database
 * nothing more, and whoever shares the address with the one who guesses gets in with a good key a tenth of a second
 * later.
 *
 * Counted by each process for itself: a count that is shared could be gone when it is needed.
 */
export async function openKeyLookup(
  app: FastifyInstance,
  { INVALID_KEYS_PER_MINUTE }: Pick<Config, 'INVALID_KEYS_PER_MINUTE'>,
  keys: Pick<KeyRepository, 'findByHash' | 'findById' | 'findTogether'>,
): Promise<KeyLookup> {
  await app.register(rateLimit, {
    global: false,
    timeWindow: WINDOW_MS,
    cache: ADDRESSES,
    max: INVALID_KEYS_PER_MINUTE,
    // Closed connections have no address any more. Of IPv6 addresses the /64 counts: a client has all of it.
    keyGenerator: ({ ip }) => normalizeIP(((ip as string | undefined) ?? '').slice(0, ADDRESS_LENGTH)),
  });
  const tries = app.createRateLimit();
  /** When the last bad key is no longer counted: until then some address may have sent too many. */
  let quietFrom = -Infinity;
  const isSuspect = async (request: FastifyRequest): Promise<boolean> => {
    const count = await tries(request, { increment: false });
    return !count.isAllowed && count.remaining === 0;
  };
  const together = gathered((wanted) => {
    const [ids, hashes] = [[...wanted].filter(isKeyId), [...wanted].filter((one) => !isKeyId(one))];
    return keys.findTogether({ ids, hashes });
  });
  const cautiously = async (request: FastifyRequest, wanted: string, field: 'id' | 'hash', alone: () => Found) =>
    (await isSuspect(request)) ? ((await together(wanted)).find((key) => key[field] === wanted) ?? null) : alone();
  const isQuiet = () => Date.now() >= quietFrom;
  return {
    byHash: (request, hash) =>
      isQuiet() ? keys.findByHash(hash) : cautiously(request, hash, 'hash', () => keys.findByHash(hash)),
    byId: (request, keyId) =>
      isQuiet() ? keys.findById(keyId) : cautiously(request, keyId, 'id', () => keys.findById(keyId)),
    async refusal(request, detail) {
      const count = await tries(request);
      quietFrom = Date.now() + WINDOW_MS;
      if (count.isAllowed || !count.isExceeded) return new InputError('unauthorized', detail);
      return new InputError(
        'too_many_requests',
        `INVALID_KEYS_PER_MINUTE: more than ${count.max} keys from this address were not valid; ` +
          `try again in ${count.ttlInSeconds} seconds, or with a key that is valid`,
        { retryAfterSeconds: count.ttlInSeconds },
      );
    },
  };
}

/** Never a hash: those are hexadecimal. */
const isKeyId = (wanted: string): boolean => wanted.startsWith('key_');
