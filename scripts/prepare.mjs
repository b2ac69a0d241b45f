// Runs after `npm ci` and `npm install`: builds dist/. An install without development packages has no compiler, and
// must still succeed: a published package and the Docker image bring dist/ with them.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const missing = ['typescript', 'prisma'].filter((name) => {
  try {
    require.resolve(`${name}/package.json`);
    return false;
  } catch {
    return true;
  }
});

if (missing.length > 0) {
  const built = existsSync('dist/cli/main.js');
  console.log(`sparank: not built, ${missing.join(' and ')} not installed (--omit=dev)`);
  if (!built) console.log('sparank: there is no dist/ either: run `npm ci --include=dev` to build it');
} else {
  const { status } = spawnSync('npm', ['run', 'build'], { stdio: 'inherit', shell: process.platform === 'win32' });
  process.exitCode = status ?? 1;
}
