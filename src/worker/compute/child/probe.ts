/** Says which engine `auto` means here, and ends. */
import { createEngine } from '../../../engines/index.js';

const engine = await createEngine('auto', { threads: 1 });
process.send?.(engine.name, undefined, undefined, () => process.exit());
