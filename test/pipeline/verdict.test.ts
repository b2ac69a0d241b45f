import { describe, expect, it } from 'vitest';
import type { Metrics, Warning } from '../../src/jobs/results.js';
import { judge } from '../../src/pipeline/steps/evaluate/verdict.js';

const metrics = {
  parameters: { before: 400, after: 100, ratio: 4 },
  macs: { before: 30, after: 10, ratio: 3 },
  bytes: { before: 1, after: 1, ratio: 1 },
  latency: [],
  speedup: 1.2,
  accuracy: { before: 0.9, after: 0.89, drop: 0.01, samples: 100 },
  fidelity: { top1_agreement: 1, relative_error: 0, samples: 100 },
  device: { engine: 'onnxruntime', name: 'cpu', threads: 2 },
} satisfies Omit<Metrics, 'seconds'>;

describe('judge', () => {
  it('passes when every number holds, bounds included', () => {
    const verdict = judge(
      { target: { parameter_ratio: 4 }, constraints: { max_accuracy_drop: 0.01, min_speedup: 1.2 } },
      metrics,
    );
    expect(verdict.passed).toBe(true);
    expect(verdict.checks.map((c) => c.name)).toEqual([
      'target.parameter_ratio',
      'constraints.max_accuracy_drop',
      'constraints.min_speedup',
    ]);
  });

  it('fails on the one number that does not hold and says what was measured', () => {
    const verdict = judge({ target: { parameter_ratio: 4 }, constraints: { min_speedup: 1.5 } }, metrics);
    expect(verdict.passed).toBe(false);
    expect(verdict.checks[1]).toEqual({ name: 'constraints.min_speedup', required: 1.5, measured: 1.2, passed: false });
  });

  it('holds agreement and error without labels', () => {
    const constraints = { min_agreement: 0.95, max_relative_error: 0.1 };
    const judged = (fidelity: Metrics['fidelity']) =>
      judge({ target: { mac_ratio: 2 }, constraints }, { ...metrics, accuracy: null, fidelity });
    expect(judged({ top1_agreement: 0.95, relative_error: 0.1, samples: 9 }).passed).toBe(true);
    expect(judged({ top1_agreement: 0.94, relative_error: 0.1, samples: 9 }).passed).toBe(false);
    expect(judged({ top1_agreement: 1, relative_error: 0.11, samples: 9 }).passed).toBe(false);
    expect(judged({ top1_agreement: null, relative_error: 0, samples: 9 }).passed).toBe(false);
  });

  it.each([
    { name: 'speedup', target: { speedup: 1.2 }, near: true },
    { name: 'speedup', target: { speedup: 1.1 }, near: false },
    { name: 'speedup', target: { speedup: 1.35 }, near: false },
    { name: 'accuracy', target: { max_accuracy_drop: 0.02 }, near: true },
    { name: 'accuracy', target: { max_accuracy_drop: 0.2 }, near: false },
    { name: 'a counted ratio', target: { parameter_ratio: 4 }, near: false },
  ])('says whether $name lies near what was asked: $target', ({ target, near }) => {
    const times = { p50: 1, p95: 1 };
    const latency = [
      { batch: 1, before_ms: times, after_ms: times, speedup: 1.2, speedup_ci95: [1.15, 1.25], runs: 10 },
    ];
    const fidelity = { top1_agreement: 0.97, relative_error: 0, samples: 100 };
    const { warnings } = judge({ target, constraints: {} }, { ...metrics, latency, fidelity });
    expect(warnings?.map(({ code }) => code)).toEqual(near ? ['near_edge'] : []);
  });

  it('says that an agreement is near what was asked for, also where all answers agree', () => {
    const judged = (share: number, least: number) =>
      judge(
        { target: { parameter_ratio: 4 }, constraints: { min_agreement: least } },
        { ...metrics, fidelity: { top1_agreement: share, relative_error: 0, samples: 100 } },
      ).warnings?.map(({ code }) => code);
    expect(judged(1, 0.98)).toEqual(['near_edge']);
    expect(judged(0.97, 0.95)).toEqual(['near_edge']);
    expect(judged(0.97, 0.9)).toEqual([]);
  });

  it('says that an error is near what was asked for, and how uncertain few samples leave it', () => {
    const on = { data: 'held_out', samples: 12 } as const;
    const fidelity = { top1_agreement: null, relative_error: 0.2, relative_error_ci95: [0.15, 0.27], samples: 12 };
    const warned = (most: number) =>
      judge(
        { target: { parameter_ratio: 4 }, constraints: { max_relative_error: most } },
        { ...metrics, fidelity, measured_on: on },
      ).warnings;
    expect(warned(0.25)?.map(({ code }) => code)).toEqual(['few_samples', 'near_edge']);
    expect(warned(0.3)?.map(({ code }) => code)).toEqual(['few_samples']);
    expect(warned(0.3)?.[0]?.cause).toContain('on 12 samples only: error 0.2000, 95 % interval 0.1500 to 0.2700');
  });

  it.each([
    { agreement: 0.28, error: 0.2, on: 'evaluation', samples: 100, codes: ['outputs_moved'] },
    // Landmarks: many coordinates of almost the same size.
    { agreement: 0.84, error: 0.004, on: 'evaluation', samples: 100, codes: [] },
    { agreement: 0.97, error: 0.4, on: 'held_out', samples: 100, codes: [] },
    { agreement: null, error: 0.44, on: 'held_out', samples: 51, codes: ['outputs_moved'] },
    { agreement: null, error: 0.44, on: 'held_out', samples: 9, codes: ['outputs_moved', 'few_samples'] },
    { agreement: null, error: 0.2, on: 'calibration', samples: 9, codes: ['measured_on_fitted'] },
  ] as const)(
    'warns of agreement $agreement, error $error on $samples samples ($on): $codes',
    ({ agreement, error, on, samples, codes }) => {
      const fidelity = { top1_agreement: agreement, relative_error: error, samples };
      const measured = { ...metrics, fidelity, measured_on: { data: on, samples } };
      const verdict = judge({ target: { parameter_ratio: 4 }, constraints: {} }, measured);
      expect(verdict.passed).toBe(true);
      expect(verdict.warnings?.map(({ code }) => code)).toEqual(codes);
    },
  );

  it('warns where what the first output holds had to be assumed, and not where it is known', () => {
    const warned = (are: 'classes' | 'numbers', by: 'values' | 'assumed') => {
      const fidelity = { top1_agreement: null, relative_error: 0.1, samples: 100 };
      const measured = { ...metrics, fidelity: { ...fidelity, answers: { are, known_by: by } } };
      return judge({ target: { parameter_ratio: 4 }, constraints: {} }, measured).warnings ?? [];
    };
    expect(warned('numbers', 'values')).toEqual([]);
    expect(warned('numbers', 'assumed')).toMatchObject([{ code: 'answers_assumed' }]);
    expect(warned('classes', 'assumed')[0]?.cause).toContain('taken for classes');
  });

  it('warns of a network that is slower at a batch size, not of one that may be', () => {
    const at = (batch: number, speedup: number, high: number) => ({
      ...{ batch, speedup, speedup_ci95: [speedup - 0.05, high], runs: 20 },
      before_ms: { p50: 1, p95: 1 },
      after_ms: { p50: 1 / speedup, p95: 1 / speedup },
    });
    const warned = (latency: Metrics['latency'], planned: Warning[] = []) => {
      const spec = { target: { parameter_ratio: 4 }, constraints: {} };
      const { warnings = [] } = judge(spec, { ...metrics, latency }, planned);
      return warnings.filter(({ code }) => code === 'slower').map(({ cause }) => cause);
    };
    expect(warned([at(1, 0.97, 1.02), at(32, 1.2, 1.3)])).toEqual([]);
    expect(warned([at(1, 0.92, 0.95), at(32, 1.17, 1.2)])).toEqual([
      'the network is slower than the original: 0.92x at batch 1',
    ]);
    // What the plan knows is the reason where it is so, and else nothing.
    const expected: Warning = { code: 'slower', cause: 'no plan is faster', next: 'ask for less' };
    expect(warned([at(1, 0.97, 1.02)], [expected])).toEqual([]);
    expect(warned([at(1, 0.92, 0.95)], [expected])).toEqual([
      'the network is slower than the original: 0.92x at batch 1; no plan is faster',
    ]);
  });

  it('never passes a check that was not measured', () => {
    const verdict = judge(
      { target: { mac_ratio: 2 }, constraints: { max_accuracy_drop: 0.5 } },
      { ...metrics, accuracy: null },
    );
    expect(verdict.passed).toBe(false);
    expect(verdict.checks[1]?.measured).toBeNull();
  });
});
