/** Says which engine a name (`auto`, without one) means here, and ends. */
import { createEngine } from '../../../engines/index.js';

type Name = Parameters<typeof createEngine>[0];

const engine = await createEngine((process.argv[2] ?? 'auto') as Name, { threads: 1 });
process.send?.(engine.name, undefined, undefined, () => process.exit());
