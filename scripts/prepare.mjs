// Runs after `npm ci` and `npm install`: builds dist/. An install without development packages (NODE_ENV=production,
// --omit=dev) lacks the compiler's typings and must still succeed: a packed release and the image bring dist/ with them.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';

const { devDependencies } = JSON.parse(readFileSync('package.json', 'utf8'));
const missing = Object.keys(devDependencies).filter((name) => !existsSync(`node_modules/${name}`));

if (process.env.npm_command === 'exec' && existsSync('dist/cli/main.js')) {
  // `npx sparank` in a clone prepares the package as if it were installed: everything is there already.
} else if (missing.length === 0) {
  const { status } = spawnSync('npm', ['run', 'build'], { stdio: 'inherit', shell: process.platform === 'win32' });
  process.exitCode = status ?? 1;
} else {
  console.log(`sparank: not built, development packages are not installed (${missing.length} of them)`);
  if (!existsSync('dist/cli/main.js')) console.log('sparank: nothing to run yet: `npm ci --include=dev` builds it');
}
