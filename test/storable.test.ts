import fc from 'fast-check';
import { expect, test } from 'vitest';
import { checkStorable, storable, storableText } from '../src/errors/storable.js';

const text = fc.string({ unit: 'binary', maxLength: 3000 });

test('whatever a text holds, what is made of it can be stored, and stays as it is from then on', () => {
  fc.assert(
    fc.property(text, (given) => {
      const made = storableText(given);
      expect(() => checkStorable(made)).not.toThrow();
      expect(made.length).toBeLessThanOrEqual(1000);
      expect(storableText(made)).toBe(made);
    }),
  );
});

test('ordinary values are left alone', () => {
  const value = { name: 'conv1', shape: [64, 3], none: null, flag: true, 鍵: { note: '…' } };
  expect(storable(value)).toEqual(value);
});

test.each([
  ['a NUL', 'a\0b', 'a\uFFFDb'],
  ['half of a pair', 'a\ud800', 'a\uFFFD'],
  ['a whole pair', 'a😀', 'a😀'],
])('%s', (_, given, made) => {
  expect(storable({ [given]: [given, { deep: given }] })).toEqual({ [made]: [made, { deep: made }] });
});

test('of a text that is too long both ends are kept', () => {
  const made = storableText(`the layer ${'n'.repeat(2 ** 20)} cannot be used`);
  expect(made).toMatch(/^the layer n+…n+ cannot be used$/);
  expect(made).toHaveLength(1000);
});

test('a cut inside a pair leaves no half of it', () => {
  for (const shift of [0, 1]) expect(storableText('x'.repeat(shift) + '😀'.repeat(1000)).isWellFormed()).toBe(true);
});

test('a client learns where its text cannot be stored', () => {
  expect(() => checkStorable({ labels: { 'a/b': 'c\0' } })).toThrow(/\/labels\/a~1b contains the character U\+0000/);
});
