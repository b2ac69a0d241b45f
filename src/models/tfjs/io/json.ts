import { InputError } from '../../../errors/index.js';

/** What JSON.parse may give. Its keys are the client's: only own properties are ever looked at. */
export type Json = null | boolean | number | string | Json[] | JsonObject;
export interface JsonObject {
  [key: string]: Json;
}

/** @param where a place in model.json, as `modelTopology/node/3` */
export function badModel(detail: string, where = '', layer?: string): InputError {
  return new InputError('invalid_model', detail, {
    faults: [{ pointer: where === '' ? '#model' : `#model/${where}`, detail }],
    ...(layer === undefined ? {} : { layer }),
  });
}

export const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The own property `key`; undefined for anything that is not there. */
export const at = (value: Json | undefined, key: string): Json | undefined =>
  isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;

export const path = (value: Json | undefined, ...keys: string[]): Json | undefined => keys.reduce(at, value);

export const text = (value: Json | undefined): string | null => (typeof value === 'string' ? value : null);

export const list = (value: Json | undefined): Json[] | null => (Array.isArray(value) ? value : null);

/** 64-bit integers of protobuf come as texts. */
export function number(value: Json | undefined): number | null {
  if (typeof value === 'number') return value;
  return typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : null;
}

/** A list of numbers, or null. */
export function numbers(value: Json | undefined): number[] | null {
  const found = list(value)?.map(number);
  return found === undefined || found.some((n) => n === null) ? null : found.map((n) => n ?? 0);
}
