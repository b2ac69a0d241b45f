import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const SLIM = fileURLToPath(new URL('../../deploy/image/slim.mjs', import.meta.url));

describe('the slim step of the image', () => {
  let root: string;
  const put = (path: string, content: string | object = '') => {
    const file = join(root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
  };
  const slim = () => spawnSync(process.execPath, [SLIM, root], { encoding: 'utf8' });
  const kept = (folder: string) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
      .sort();
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'sparank-slim-'));
  });
  afterEach(() => {
    rmSync(root, { recursive: true });
  });

  it('keeps what the program may load, and drops packages that are merely allowed beside others', () => {
    put('package.json', { dependencies: { a: '1' }, optionalDependencies: { traces: '1', absent: '1' } });
    put('node_modules/a/package.json', {
      dependencies: { '@s/b': '1' },
      peerDependencies: { peer: '1', compiler: '1' },
      peerDependenciesMeta: { compiler: { optional: true } },
    });
    put('node_modules/a/node_modules/@s/b/package.json', {});
    put('node_modules/@s/b/package.json', {});
    put('node_modules/compiler/package.json', { dependencies: { 'of-compiler': '1' } });
    for (const name of ['peer', 'traces', 'of-compiler']) put(`node_modules/${name}/package.json`, {});
    put('node_modules/.package-lock.json', {});
    put('node_modules/.bin/tool');
    expect(slim()).toMatchObject({ status: 0, stderr: '' });
    expect(kept('node_modules')).toEqual([
      'node_modules/a/node_modules/@s/b/package.json',
      'node_modules/a/package.json',
      'node_modules/peer/package.json',
      'node_modules/traces/package.json',
    ]);
  });

  it('drops other platforms, maps, types and folders beside the program, never what an entry names', () => {
    put('package.json', { dependencies: { runtime: '1', odd: '1' } });
    put('node_modules/runtime/package.json', { main: 'dist/index.js' });
    const [here, there] = process.platform === 'linux' ? ['linux', 'win32'] : [process.platform, 'linux'];
    const arch = process.arch === 'x64' ? 'arm64' : 'x64';
    put(`node_modules/runtime/bin/napi-v6/${here}/${process.arch}/binding.node`);
    put(`node_modules/runtime/bin/napi-v6/${here}/${arch}/binding.node`);
    put(`node_modules/runtime/bin/napi-v6/${there}/${process.arch}/binding.node`);
    for (const file of ['dist/index.js', 'dist/index.js.map', 'dist/index.d.ts', 'README.md', 'LICENSE.md'])
      put(`node_modules/runtime/${file}`);
    for (const file of ['test/a.js', 'docs/a.html', 'dist/esnext/a.js', 'lib/test/a.js'])
      put(`node_modules/runtime/${file}`);
    // A package whose program lies in a folder with such a name.
    put('node_modules/odd/package.json', { exports: { '.': { import: './docs/index.js' }, './x': './dist/umd/x.js' } });
    for (const file of ['docs/index.js', 'dist/umd/x.js', 'examples/a.js']) put(`node_modules/odd/${file}`);
    for (const file of ['cli/main.js', 'cli/main.js.map', 'cli/main.d.ts', '.tsbuildinfo']) put(`dist/${file}`);
    expect(slim()).toMatchObject({ status: 0, stderr: '' });
    expect(kept('node_modules')).toEqual([
      'node_modules/odd/dist/umd/x.js',
      'node_modules/odd/docs/index.js',
      'node_modules/odd/package.json',
      'node_modules/runtime/LICENSE.md',
      `node_modules/runtime/bin/napi-v6/${here}/${process.arch}/binding.node`,
      'node_modules/runtime/dist/index.js',
      'node_modules/runtime/lib/test/a.js',
      'node_modules/runtime/package.json',
    ]);
    expect(kept('dist')).toEqual(['dist/cli/main.js']);
  });

  it("keeps of Prisma's compilers the one that the client loads, and fails when it would take all", () => {
    const runtime = 'node_modules/@prisma/client/runtime';
    put('package.json', { dependencies: { '@prisma/client': '1' } });
    put('node_modules/@prisma/client/package.json', {});
    const used = ['query_compiler_fast_bg.postgresql.mjs', 'query_compiler_fast_bg.postgresql.wasm-base64.mjs'];
    for (const name of [...used, 'query_compiler_fast_bg.mysql.mjs', 'client.js']) put(`${runtime}/${name}`);
    put('dist/database/generated/internal/class.js', used.map((name) => `import("x/${name}")`).join('\n'));
    expect(slim()).toMatchObject({ status: 0, stderr: '' });
    expect(readdirSync(join(root, runtime)).sort()).toEqual(['client.js', ...used]);

    put('dist/database/generated/internal/class.js', 'import("renamed")');
    expect(slim().status).toBe(1);
    expect(existsSync(join(root, runtime, used[0] ?? ''))).toBe(true);
  });
});
