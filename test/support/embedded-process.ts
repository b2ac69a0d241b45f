import { startEmbedded } from '../../src/database/index.js';
import { quietLog } from './log.js';

/** A process of its own that uses the embedded PostgreSQL of a directory until it is told to leave, or killed. */
const embedded = await startEmbedded(process.argv[2] ?? '', quietLog);
process.send?.(embedded.url);
process.once('message', () => {
  void embedded.stop().then(() => process.disconnect());
});
