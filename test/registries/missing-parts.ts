import { readdirSync } from 'node:fs';
import { join } from 'node:path';

/** A folder with a file for each variant, and the registry in its `index.ts`. */
export interface Room {
  folder: string;
  registry: Readonly<Record<string, unknown>>;
  /** Files that are not variants. */
  helpers: readonly string[];
}

const ROOT = join(import.meta.dirname, '../..');

/** `n:m` is in `n-m.ts`. */
const fileOf = (name: string): string => `${name.replaceAll(/[^a-z0-9]+/g, '-')}.ts`;

/** What a kind of variant lacks, a sentence for each part; none when it is whole. */
export function missingParts(names: readonly string[], rooms: readonly Room[]): string[] {
  return rooms.flatMap(({ folder, registry, helpers }) => {
    const files = readdirSync(join(ROOT, folder), { withFileTypes: true }).map((entry) =>
      entry.isDirectory() ? `${entry.name}.ts` : entry.name,
    );
    const expected = new Set(names.map(fileOf));
    return [
      ...names
        .filter((name) => !files.includes(fileOf(name)))
        .map((name) => `${folder}/${fileOf(name)} is missing: the part of ${name}`),
      ...names
        .filter((name) => !Object.hasOwn(registry, name))
        .map((name) => `${folder}/index.ts does not list ${name}`),
      ...files
        .filter((file) => file !== 'index.ts' && !helpers.includes(file) && !expected.has(file))
        .map((file) => `${folder}/${file} is no variant that is listed, nor a known helper`),
    ];
  });
}
