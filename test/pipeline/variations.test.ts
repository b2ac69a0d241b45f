import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/pipeline/network/random.js';
import { axesOf, varied, type Variation } from '../../src/pipeline/steps/assemble/variations.js';

const tensor = (dims: number[], value: (at: number) => number = (at) => at) => ({
  dims,
  data: Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, at) => value(at)),
});
const rows = ([count = 0]: readonly number[], data: Float32Array) => {
  const length = data.length / Math.max(1, count);
  return Array.from({ length: count }, (_, row) => [...data.subarray(row * length, (row + 1) * length)]);
};
const vary = (given: ReturnType<typeof tensor>, ...kinds: Variation[]) => {
  const changed = varied(new Map([['x', given]]), new Set(kinds), seededRandom(3)).get('x');
  if (!(changed?.data instanceof Float32Array)) throw new Error('no floats');
  return { dims: changed.dims, data: changed.data };
};

describe('the kind of data', () => {
  it.each([
    ['images, channels first', [2, 3, 32, 24], [2, 3]],
    ['images, channels last', [2, 32, 24, 3], [1, 2]],
    ['grey images', [2, 1, 28, 28], [2, 3]],
    ['films, channels first', [2, 3, 6, 32, 24], [3, 4]],
    ['volumes, channels last', [2, 16, 32, 24, 1], [2, 3]],
    ['feature maps of films', [2, 64, 4, 8, 8], null],
    ['signals, channels first', [2, 12, 1000], [2]],
    ['signals, channels last', [2, 1000, 12], [1]],
    ['sound', [2, 16000], [1]],
    ['features', [2, 12], null],
    ['feature maps', [2, 64, 4, 4], null],
    ['few steps', [2, 5, 20], null],
  ])('%s', (_, dims, axes) => {
    expect(axesOf(tensor(dims))).toEqual(axes);
  });
});

describe('samples are varied', () => {
  it('as a mirror does: half of them, left to right only, all channels alike', () => {
    const given = tensor([64, 3, 8, 10]);
    const { data } = vary(given, 'mirrored');
    const mirror = (row: number[]) => row.map((_, at) => row[at - (at % 10) + 9 - (at % 10)]);
    const before = rows(given.dims, given.data);
    let mirrored = 0;
    for (const [i, row] of rows(given.dims, data).entries()) {
      const own = before[i]?.slice(0, 240) ?? [];
      const now = row.slice(0, 240);
      if (now[0] === own[0]) expect(now).toEqual(own);
      else {
        mirrored++;
        expect(now).toEqual(mirror(own));
      }
    }
    expect(mirrored).toBeGreaterThan(16);
    expect(mirrored).toBeLessThan(48);
  });

  it('by up to an eighth of an axis, with what lies at the border repeated backwards', () => {
    const { data } = vary(
      tensor([200, 1, 16, 16], (at) => at % 16),
      'shifted',
    );
    const firsts = new Set(Array.from({ length: 200 }, (_, row) => data[row * 256] ?? NaN));
    expect([...firsts].sort()).toEqual([0, 1, 2]);
    for (let line = 0; line < 200 * 16; line++) {
      const values = [...data.subarray(line * 16, line * 16 + 16)];
      for (let at = 1; at < 16; at++) expect(Math.abs((values[at] ?? 0) - (values[at - 1] ?? 0))).toBe(1);
    }
  });

  it('with channels last as with channels first', () => {
    const first = tensor([8, 3, 16, 16]);
    const last = tensor([8, 16, 16, 3], (at) => {
      const [channel, place] = [at % 3, Math.floor(at / 3)];
      return Math.floor(place / 256) * 768 + channel * 256 + (place % 256);
    });
    const [a, b] = [vary(first, 'mirrored', 'shifted').data, vary(last, 'mirrored', 'shifted').data];
    const moved = b.map((_, at) => {
      const [sample, rest] = [Math.floor(at / 768), at % 768];
      return b[sample * 768 + (rest % 256) * 3 + Math.floor(rest / 256)] ?? NaN;
    });
    expect([...moved]).toEqual([...a]);
  });

  it('films as the images that they are of, all alike', () => {
    const film = tensor([16, 2, 5, 8, 10]);
    const { data } = vary(film, 'mirrored', 'shifted');
    for (const [i, row] of rows(film.dims, data).entries()) {
      const places = row.slice(0, 80).map((value) => value - i * 800);
      expect(row).toEqual(Array.from({ length: 800 }, (_, at) => i * 800 + Math.floor(at / 80) * 80 + places[at % 80]));
    }
  });

  it.each([
    ['images', [400, 1, 8, 8]],
    ['images, channels last', [400, 8, 8, 3]],
    ['signals', [400, 2, 100]],
  ])('with another one: a quarter of them in between, a quarter with a part of it (%s)', (_, dims) => {
    const size = dims.slice(1).reduce((a, b) => a * b, 1);
    const { data } = vary(
      tensor(dims, (at) => Math.floor(at / size)),
      'mixed',
    );
    const values = rows(dims, data).map((row) => new Set(row));
    const blended = values.filter((set, row) => set.size === 1 && !set.has(row));
    const spliced = values.filter((set) => set.size > 1);
    for (const found of [blended, spliced]) {
      expect(found.length).toBeGreaterThan(60);
      expect(found.length).toBeLessThan(140);
    }
    for (const [value = NaN] of blended) expect(value >= 0 && value < 400).toBe(true);
    for (const [row, set] of values.entries())
      if (set.size > 1) {
        expect(set.has(row)).toBe(true);
        expect(set.size).toBe(2);
      }
  });

  it('with a rectangle of another one, all channels alike, of any size', () => {
    const dims = [300, 3, 8, 10];
    const { data } = vary(
      tensor(dims, (at) => Math.floor(at / 240)),
      'mixed',
    );
    const areas: number[] = [];
    for (const [row, values] of rows(dims, data).entries()) {
      const own = new Set(values);
      if (own.size !== 2) continue;
      const foreign = values.slice(0, 80).flatMap((value, at) => (value === row ? [] : [at]));
      const [top, bottom] = [Math.floor((foreign[0] ?? 0) / 10), Math.floor((foreign.at(-1) ?? 0) / 10)];
      const columns = foreign.map((at) => at % 10);
      const area = (bottom - top + 1) * (Math.max(...columns) - Math.min(...columns) + 1);
      expect(foreign.length).toBe(area);
      for (const channel of [1, 2]) expect(values.slice(channel * 80, channel * 80 + 80)).toEqual(values.slice(0, 80));
      areas.push(area / 80);
    }
    expect(areas.length).toBeGreaterThan(40);
    expect(Math.min(...areas)).toBeLessThan(0.2);
    expect(Math.max(...areas)).toBeGreaterThan(0.8);
    // Uniform, not the square of something that is: that would be a third.
    expect(areas.reduce((sum, area) => sum + area, 0) / areas.length).toBeGreaterThan(0.42);
  });

  it('of whole numbers as of floats', () => {
    const bytes = { dims: [8, 3, 8, 8], data: Uint8Array.from({ length: 1536 }, (_, at) => at % 251) };
    const floats = { dims: bytes.dims, data: Float32Array.from(bytes.data) };
    const kinds = new Set<Variation>(['mirrored', 'shifted', 'mixed']);
    const [a, b] = [bytes, floats].map((given) => varied(new Map([['x', given]]), kinds, seededRandom(5)).get('x'));
    expect(a).toEqual(b);
    expect(a?.data).toBeInstanceOf(Float32Array);
  });

  it('alike for the same seed, and not at all where nothing is known of them', () => {
    const given = tensor([4, 3, 8, 8]);
    expect([...vary(given, 'mirrored', 'shifted', 'mixed').data]).toEqual([
      ...vary(given, 'mirrored', 'shifted', 'mixed').data,
    ]);
    const features = tensor([4, 12]);
    expect(vary(features, 'mixed').data).toBe(features.data);
    const two = new Map([
      ['a', given],
      ['b', given],
    ]);
    expect(varied(two, new Set<Variation>(['mixed']), seededRandom(1))).toBe(two);
  });
});
