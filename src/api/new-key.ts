import { randomBytes } from 'node:crypto';

const KEY_BYTES = 32;
const PREFIX_LENGTH = 8;

/** 256 random bits: nothing that could be guessed, so a plain SHA-256 of it is enough at rest. */
export const newKey = (): string => `spk_${randomBytes(KEY_BYTES).toString('base64url')}`;

/** What stays visible of a key, to recognise it by. */
export const visiblePrefix = (key: string): string => key.slice(0, PREFIX_LENGTH);
