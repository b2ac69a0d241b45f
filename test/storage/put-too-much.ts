import { Readable } from 'node:stream';
import { serializeError } from '../../src/errors/classify.js';
import { openStorage } from '../../src/storage/open.js';

/** Run by a test under a file size limit of 2 MiB: puts 16 MiB and prints the error. */
const storage = await openStorage({ DATA_DIR: process.argv[2] ?? '' });
const body = Readable.from(
  (function* () {
    for (let i = 0; i < 64; i++) yield Buffer.alloc(2 ** 18);
  })(),
);
await storage.put('jobs/big', body).then(
  () => process.stdout.write('"stored"'),
  (error: unknown) => {
    const { code, detail } = serializeError(error);
    process.stdout.write(JSON.stringify({ code, detail }));
  },
);
