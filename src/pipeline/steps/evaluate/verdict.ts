import type { Check, Metrics, Verdict, Warning } from '../../../jobs/results.js';
import type { Spec } from '../../../jobs/spec.js';
import { targetNames, targetOf } from '../../../jobs/targets.js';
import { nearEdge } from './near-edge.js';
import { warningsOf } from './warnings.js';

/**
 * Holds the measured numbers against the target and the constraints. A check whose number could not be measured (no
 * evaluation labels, no classes) does not pass.
 *
 * @param planned warnings of the steps before
 */
export function judge(
  spec: Pick<Spec, 'target' | 'constraints'>,
  metrics: Omit<Metrics, 'seconds'>,
  planned: readonly Warning[] = [],
): Verdict {
  const measured: Record<string, { value: number | null; atLeast: boolean }> = {
    ...Object.fromEntries(
      targetNames.map((name) => {
        const { measured, good } = targetOf(name);
        return [name, { value: measured(metrics), atLeast: good === 'more' }];
      }),
    ),
    min_parameter_ratio: { value: metrics.parameters.ratio, atLeast: true },
    min_mac_ratio: { value: metrics.macs.ratio, atLeast: true },
    min_bytes_ratio: { value: metrics.bytes.ratio, atLeast: true },
    min_speedup: { value: metrics.speedup, atLeast: true },
  };
  const checks: Check[] = [];
  for (const [prefix, wishes] of [
    ['target', spec.target],
    ['constraints', spec.constraints],
  ] as const) {
    for (const [name, required] of Object.entries(wishes as Record<string, number | undefined>)) {
      const entry = measured[name];
      if (required === undefined || entry === undefined) continue;
      const { value, atLeast } = entry;
      // 1e-9: a ratio or drop computed in floating point is not failed for its last bit.
      const passed = value !== null && (atLeast ? value >= required - 1e-9 : value <= required + 1e-9);
      checks.push({ name: `${prefix}.${name}`, required, measured: value, passed });
    }
  }
  const warnings = [...withReasons(warningsOf(metrics), planned), ...nearEdge(checks, metrics)];
  return { passed: checks.every((check) => check.passed), checks, warnings };
}

/** What the plan expected to be slower is said where it is, as the reason. */
function withReasons(measured: readonly Warning[], planned: readonly Warning[]): Warning[] {
  const why = planned.find(({ code }) => code === 'slower');
  return [
    ...planned.filter((warning) => warning !== why),
    ...measured.map((warning) =>
      warning.code === 'slower' && why !== undefined
        ? { ...warning, cause: `${warning.cause}; ${why.cause}`, next: why.next }
        : warning,
    ),
  ];
}
