import { describe, expect, it } from 'vitest';
import Value from 'typebox/value';
import { readConfig } from '../../src/config/index.js';
import { ENGINE_CHOICES, ENGINES, engineNames, HOST_ENGINE } from '../../src/engines/index.js';
import { ResourcesSchema } from '../../src/jobs/spec.js';
import { missingParts, type Room } from './missing-parts.js';

const ROOMS: Room[] = [
  { folder: 'src/engines', registry: ENGINES, helpers: ['accumulate.ts', 'description.ts', 'engine.ts'] },
];

describe('the registry of engines', () => {
  it('has a folder for every engine', () => {
    expect(missingParts(engineNames, ROOMS)).toEqual([]);
  });

  it('names what a new engine lacks', () => {
    expect(missingParts([...engineNames, 'metal'], ROOMS)).toEqual([
      'src/engines/metal.ts is missing: the part of metal',
      'src/engines/index.ts does not list metal',
    ]);
  });

  it('is what the setting and the API take', () => {
    for (const engine of ENGINE_CHOICES) expect(readConfig({ ENGINE: engine }).ENGINE).toBe(engine);
    expect(() => readConfig({ ENGINE: 'metal' })).toThrow(/ENGINE/);
    for (const engine of engineNames) expect(Value.Check(ResourcesSchema, { engine })).toBe(true);
    expect(Value.Check(ResourcesSchema, { engine: 'metal' })).toBe(false);
  });

  it.each(engineNames.filter((name) => ENGINES[name].installed()))(
    '%s: created, it has its name and computes where it says, or says what is absent',
    async (name) => {
      const { processor, create } = ENGINES[name];
      const engine = await create({ threads: 1 }).catch((error: unknown) => {
        expect(error).toMatchObject({ code: 'unavailable' });
        return null;
      });
      expect(engine !== null || name !== HOST_ENGINE).toBe(true);
      if (engine === null) return;
      expect(engine.name).toBe(name);
      if (processor !== 'either') expect(engine.onGpu).toBe(processor === 'gpu');
      await engine.dispose();
    },
  );
});
