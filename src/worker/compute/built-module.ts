import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * Path of the compiled module at `relative` (seen from `from`, an `import.meta.url`). Under vitest or tsx `from` is a
 * file of src/, but a forked plain Node can only run what is in dist/.
 * @throws when the project was not built.
 */
export function builtModule(from: string, relative: string): string {
  const path = fileURLToPath(new URL(relative, from));
  const built = path.replace(/([\\/])src([\\/](?!.*[\\/]src[\\/]).*)$/, '$1dist$2').replace(/\.ts$/, '.js');
  if (!existsSync(built)) throw new Error(`${built} is missing: run "npm run build" first`);
  return built;
}
