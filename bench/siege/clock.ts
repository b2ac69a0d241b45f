import { existsSync } from 'node:fs';

const PLACES = [
  '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1',
  '/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1',
];

/** Shifts the wall clock of the processes that load it (Debian's libfaketime); null where it is not installed. */
export const FAKETIME = PLACES.find((path) => existsSync(path)) ?? null;
