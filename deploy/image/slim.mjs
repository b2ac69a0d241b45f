// node slim.mjs FOLDER: takes out of an installed and built program (node_modules, dist) what never runs on this machine. The rules
// are about kinds of files, not about names of packages, wherever that is possible.
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Folders at the top of a package that hold no part of the program. */
const ASIDE = new Set(
  'test tests __tests__ e2e spec docs doc example examples bench benchmark benchmarks coverage .github'.split(' '),
);
/** Code for bundlers and browsers, of packages whose code for Node lies elsewhere. */
const FOR_OTHERS = new Set('dist-es dist-types esnext fesm2015 fesm5 miniprogram umd'.split(' '));
const READ_BY_TOOLS = /\.(map|d\.[cm]?ts|ts|tsx|mts|cts|flow|md|markdown|a|tsbuildinfo)$/i;

const readJson = (file) => JSON.parse(readFileSync(file, 'utf8'));
const folders = (path) =>
  existsSync(path)
    ? readdirSync(path, { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map(({ name }) => name)
    : [];

/** Folders of all installed packages, those inside other packages included. */
export function packages(modules) {
  return folders(modules)
    .filter((name) => !name.startsWith('.'))
    .flatMap((name) => (name.startsWith('@') ? folders(join(modules, name)).map((one) => join(name, one)) : [name]))
    .map((name) => join(modules, name))
    .flatMap((path) => [path, ...packages(join(path, 'node_modules'))]);
}

/** Where Node would find `name` from the package in `from`. */
function find(root, from, name) {
  for (let at = from; ; at = dirname(at)) {
    const path = join(at, 'node_modules', name);
    if (existsSync(join(path, 'package.json'))) return path;
    if (at === root || at === dirname(at)) return null;
  }
}

/** Packages that the program may load: npm also keeps those that are merely allowed beside another (optional peers). */
export function reachable(root) {
  const found = new Set();
  const waiting = [root];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const { dependencies, optionalDependencies, peerDependencies, peerDependenciesMeta } = readJson(
      join(path, 'package.json'),
    );
    const peers = Object.keys(peerDependencies ?? {}).filter((name) => !peerDependenciesMeta?.[name]?.optional);
    for (const name of [...Object.keys({ ...dependencies, ...optionalDependencies }), ...peers]) {
      const one = find(root, path, name);
      if (one === null || found.has(one)) continue;
      found.add(one);
      waiting.push(one);
    }
  }
  return found;
}

/** Every file that a package's `main` and `exports` name for Node. */
function entries({ main, exports }) {
  const named = [];
  const collect = (value) => {
    if (typeof value === 'string') named.push(value);
    else if (value !== null && typeof value === 'object') {
      for (const [key, inner] of Object.entries(value)) if (!/^(types|browser|react-native)/.test(key)) collect(inner);
    }
  };
  collect(exports);
  return [main ?? 'index.js', ...named].map((path) => path.replace(/^\.\//, '').replace(/^\//, ''));
}

const starts = (paths, folder) => paths.some((path) => path === folder || path.startsWith(`${folder}/`));

/** What goes of one package: folders beside the program, and those of other platforms. */
function foldersToDrop(path) {
  const used = entries(readJson(join(path, 'package.json')));
  const dropped = folders(path).filter((name) => ASIDE.has(name) && !starts(used, name));
  for (const parent of ['.', 'dist', 'build']) {
    for (const name of folders(join(path, parent))) {
      const folder = relative(path, join(path, parent, name))
        .split(sep)
        .join('/');
      if (FOR_OTHERS.has(name) && !starts(used, folder)) dropped.push(folder);
    }
  }
  // Prebuilt programs: bin/napi-v6/<platform>/<arch> of ONNX Runtime.
  for (const napi of folders(join(path, 'bin')).filter((name) => name.startsWith('napi-v'))) {
    for (const platform of folders(join(path, 'bin', napi))) {
      const base = join('bin', napi, platform);
      if (platform !== process.platform) dropped.push(base);
      else for (const arch of folders(join(path, base))) if (arch !== process.arch) dropped.push(join(base, arch));
    }
  }
  return dropped;
}

const files = (path) =>
  existsSync(path)
    ? readdirSync(path, { withFileTypes: true }).flatMap((entry) =>
        entry.isDirectory() ? files(join(path, entry.name)) : entry.isFile() ? [join(path, entry.name)] : [],
      )
    : [];

/** Prisma brings its compiler for every database; the generated client names the one that it loads. */
function unusedCompilers(root) {
  const generated = files(join(root, 'dist/database/generated'))
    .filter((file) => file.endsWith('.js'))
    .map((file) => readFileSync(file, 'utf8'))
    .join('\n');
  const all = files(join(root, 'node_modules/@prisma/client/runtime')).filter((file) => /query_compiler_/.test(file));
  const unused = all.filter((file) => !generated.includes(file.slice(file.lastIndexOf(sep) + 1)));
  if (all.length > 0 && unused.length === all.length) throw new Error('the built client names no query compiler');
  return unused;
}

export function slim(root) {
  const modules = join(root, 'node_modules');
  const used = reachable(root);
  const drop = (path) => rmSync(path, { recursive: true, force: true });
  // Compilers first: the client that names them is read from dist.
  unusedCompilers(root).forEach(drop);
  for (const path of packages(modules)) {
    if (!existsSync(join(path, 'package.json'))) continue;
    if (used.has(path)) for (const folder of foldersToDrop(path)) drop(join(path, folder));
    // Packages inside one that goes, and are needed, are needed by nobody else.
    else if (![...used].some((one) => one.startsWith(path + sep))) drop(path);
  }
  for (const file of [...files(modules), ...files(join(root, 'dist'))]) {
    if (READ_BY_TOOLS.test(file) && !/licen[cs]e|notice/i.test(file.slice(file.lastIndexOf(sep) + 1))) drop(file);
  }
  drop(join(modules, '.bin'));
  // What npm believes to be installed.
  drop(join(modules, '.package-lock.json'));
}

const bytes = (path) => files(path).reduce((sum, file) => sum + statSync(file).size, 0);

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [folder] = process.argv.slice(2);
  if (folder === undefined) throw new Error('usage: node slim.mjs FOLDER');
  const root = resolve(folder);
  const before = bytes(root);
  slim(root);
  console.log(`${(before / 2 ** 20).toFixed(0)} MiB before, ${(bytes(root) / 2 ** 20).toFixed(0)} MiB after`);
}
