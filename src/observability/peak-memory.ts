import { readFileSync, writeFileSync } from 'node:fs';

/** Starts a new measurement of the peak; on Linux only, elsewhere the peak stays that of the whole process. */
export function resetPeakMemory(): void {
  try {
    writeFileSync('/proc/self/clear_refs', '5');
  } catch {
    // Not Linux, or /proc is read-only.
  }
}

export function peakMemoryBytes(): number {
  try {
    const match = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'));
    if (match) return Number(match[1]) * 1024;
  } catch {
    // Not Linux.
  }
  return process.resourceUsage().maxRSS * 1024;
}
