import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isJunk, type Archive } from '../../../datasets/archive.js';
import { InputError } from '../../../errors/index.js';
import type { LoadOptions } from '../../format-files.js';
import { at, badModel, isObject, type Json, type JsonObject } from './json.js';
import { decodeGroup, readManifest, type StoredTensor, type WeightGroup } from './weights.js';

/** The files of a model, read and checked against each other; what its graph means is not looked at yet. */
export interface ModelFiles {
  /** Name of the .json file. */
  filename: string;
  json: JsonObject;
  weights: Map<string, StoredTensor>;
}

/** A graph without weights; the largest met has 2 MB for 5,000 nodes. */
const MAX_JSON_BYTES = 64 * 2 ** 20;

/** The .json files in a zip that may be the model: not what archivers of some systems add. */
export const jsonFiles = (entries: readonly string[]): string[] =>
  entries.filter((name) => name.toLowerCase().endsWith('.json') && !isJunk(name));

/** @throws {InputError} for everything that is wrong with the files */
export async function readFiles(archive: Archive, options: LoadOptions): Promise<ModelFiles> {
  const weights = new Map<string, StoredTensor>();
  const { filename, json } = await eachGroup(archive, options, (group, whole) => {
    for (const [key, tensor] of decodeGroup(group, whole)) weights.set(key, tensor);
  });
  return { filename, json, weights };
}

/** model.json, and its shards one behind the other: what TensorFlow.js itself takes. */
export async function readShards(archive: Archive, options: LoadOptions): Promise<{ json: JsonObject; bytes: Buffer }> {
  const groups: Buffer[] = [];
  const { json } = await eachGroup(archive, options, (_, whole) => groups.push(whole));
  return { json, bytes: Buffer.concat(groups) };
}

async function eachGroup(
  archive: Archive,
  { directory, limits, signal }: LoadOptions,
  visit: (group: WeightGroup, whole: Buffer) => void,
): Promise<{ filename: string; json: JsonObject }> {
  const scratch = await mkdtemp(join(directory, 'tfjs-'));
  let count = 0;
  const bytesOf = async (name: string): Promise<Buffer> => {
    const file = join(scratch, String(count++));
    await archive.extract(name, file, signal);
    const bytes = await readFile(file);
    await rm(file);
    return bytes;
  };
  try {
    const { name, json } = await modelJson(archive, bytesOf);
    const folder = name.slice(0, name.lastIndexOf('/') + 1);
    for (const group of readManifest(at(json, 'weightsManifest'), limits)) {
      const shards: Buffer[] = [];
      for (const shard of group.paths) {
        checkShard(shard, folder, archive);
        shards.push(await bytesOf(folder + shard));
      }
      const [only] = shards;
      visit(group, only !== undefined && shards.length === 1 ? only : Buffer.concat(shards));
    }
    return { filename: name.slice(folder.length), json };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function modelJson(
  archive: Archive,
  bytesOf: (name: string) => Promise<Buffer>,
): Promise<{ name: string; json: JsonObject }> {
  const found: { name: string; json: JsonObject }[] = [];
  const names = jsonFiles([...archive.entries.keys()]);
  for (const name of names) {
    const size = archive.entries.get(name)?.uncompressedSize ?? 0;
    if (size > MAX_JSON_BYTES) {
      const detail = `${name} has ${String(size)} bytes: a graph without its weights takes at most ${String(MAX_JSON_BYTES)}`;
      throw new InputError('limit_exceeded', detail, { faults: [{ pointer: '#model', detail }] });
    }
    const json = parse(name, await bytesOf(name), names.length === 1);
    if (isObject(json) && (at(json, 'modelTopology') !== undefined || at(json, 'weightsManifest') !== undefined))
      found.push({ name, json });
  }
  const [first] = found;
  if (first === undefined)
    throw badModel('the zip has no model.json with modelTopology and weightsManifest: zip all files of the model');
  if (found.length > 1) throw badModel(`the zip has more than one model: ${found.map(({ name }) => name).join(', ')}`);
  return first;
}

function parse(name: string, bytes: Buffer, only: boolean): Json {
  try {
    return JSON.parse(bytes.toString('utf8')) as Json;
  } catch (error) {
    // Another file beside the model may be what it likes.
    if (!only) return null;
    throw badModel(`${name} is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function checkShard(shard: string, folder: string, archive: Archive): void {
  const parts = shard.split('/');
  if (shard === '' || parts.some((part) => part === '' || part === '.' || part === '..') || /[\\:\0]/.test(shard))
    throw badModel(
      `the manifest names ${JSON.stringify(shard)}: only files beside model.json are read`,
      'weightsManifest',
    );
  if (!archive.entries.has(folder + shard))
    throw badModel(`the zip has no ${folder + shard}, which the manifest names: send every shard`, 'weightsManifest');
}
