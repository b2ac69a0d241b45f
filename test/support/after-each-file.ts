import { afterAll, vi } from 'vitest';
import { removeScratch } from './scratch.js';

// Unit suites share a process: what one leaves behind, the next one would find.
afterAll(() => {
  removeScratch();
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  vi.unstubAllGlobals();
});
