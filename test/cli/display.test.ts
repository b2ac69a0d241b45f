import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import type { JobView } from '../../src/api/jobs/schema.js';
import { bars } from '../../src/cli/display/bars.js';
import type { Sparank } from '../../src/client/node/index.js';
import { endsOnly } from '../../src/cli/commands/compress.js';
import { follow } from '../../src/cli/display/follow.js';
import { outcome, somePasses } from '../../src/cli/display/points.js';
import { layerTable } from '../../src/cli/display/report.js';
import type { Metrics, Point } from '../../src/jobs/results.js';
import { layerRow, testMetrics } from '../support/jobs.js';
import { until } from '../support/until.js';

const SHOW_CURSOR = '\u001b[?25h';
const HIDE_CURSOR = '\u001b[?25l';

function terminal() {
  const stream = Object.assign(new PassThrough(), { isTTY: true, columns: 80, rows: 10 });
  let shown = '';
  stream.setEncoding('utf8').on('data', (text: string) => (shown += text));
  return { stream, shown: () => shown };
}

const job = (change: Partial<JobView>) =>
  ({
    status: 'running',
    phase: 'layers',
    progress: { fraction: 0.5, layers_done: 1, layers_total: 60, eta_seconds: 200 },
    ...change,
  }) as JobView;

describe('the progress on a terminal', () => {
  const solved = (index: number) =>
    layerRow(index, { status: 'done', decision: 'compressed', relative_error: 0.0123, seconds: 1.5 });

  it('is one bar with the layers in work, and a line for each that is done, however many there are', async () => {
    const { stream, shown } = terminal();
    const display = bars(stream);
    const running = [1, 2, 3, 4, 5].map((index) => layerRow(index, { status: 'running' }));
    const waiting = Array.from({ length: 54 }, (_, i) => layerRow(6 + i));
    display.show(job({}), [solved(0), ...running, ...waiting]);
    await until('it is drawn', () => shown().includes('1 of 60 done'), 5);
    expect(shown()).toContain('conv0   compressed, error 0.0123 (1.5 s)');
    expect(shown()).toContain(' 50 %  layers, 1 of 60 done, about 4 min left');
    expect(shown()).toContain('solving conv1, conv2, conv3 and 2 more');
    // Two lines are drawn again and again: the terminal has room for them.
    expect(shown()).not.toContain('conv6');
    display.stop();
  });

  it('shows the last layer and the end although they come at the same time, and gives the cursor back, once', () => {
    const { stream, shown } = terminal();
    const display = bars(stream);
    const progress = { ...job({}).progress, fraction: 1 };
    display.show(job({ status: 'succeeded', progress }), [solved(0)]);
    display.stop();
    display.stop();
    const text = shown();
    expect(text).toContain('conv0  compressed');
    expect(text.slice(text.lastIndexOf('conv0'))).toContain('100 %  succeeded');
    expect(text.split(HIDE_CURSOR)).toHaveLength(2);
    expect(text.split(SHOW_CURSOR)).toHaveLength(2);
  });

  it('gives the cursor back at an interrupt, before the service has answered', () => {
    const { stream, shown } = terminal();
    const interrupt = new AbortController();
    // The call under way is not answered.
    const client = { jobs: { wait: () => new Promise<never>(() => undefined) } };
    void follow(client as unknown as Sparank, 'job_x', bars(stream), interrupt.signal);
    interrupt.abort();
    expect(shown()).toContain(SHOW_CURSOR);
  });
});

describe('the table of layers', () => {
  it('has the same width in every line, and tells once why layers stay dense', () => {
    const reason = 'the target is met at less loss in other layers';
    const dense = (index: number) => layerRow(index, { status: 'done', decision: 'dense', reason });
    const done = layerRow(1, {
      status: 'done',
      decision: 'compressed',
      low_rank_shape: 'tucker',
      inner_rank: 48,
      rank: 64,
      groups: 8,
      relative_error: 0.02,
    });
    const lines = layerTable([dense(0), { ...done, name: '/features/features.3/Conv' }, dense(2)]).split('\n');
    expect(lines).toHaveLength(6);
    const column = lines[0]?.indexOf('decision') ?? -1;
    expect(lines.slice(2, 5).map((line) => line.slice(column))).toEqual(['dense', 'compressed', 'dense']);
    expect(Math.max(...lines.slice(0, 5).map(({ length }) => length))).toBeLessThan(110);
    expect(lines[5]).toBe(`dense (${reason}): conv0, conv2`);
  });

  it('names all nodes of a layer whose weights several nodes read', () => {
    const shared = layerRow(0, { name: 'step1', nodes: ['step1', 'step2', 'step3'] });
    expect(layerTable([shared]).split('\n')).toContain('one layer: step1, step2, step3');
  });

  it('names the layers that a note on compressed ones is about', () => {
    const reason = 'smaller, but slower by itself';
    const row = (index: number, why: string | null) =>
      layerRow(index, { status: 'done', decision: 'compressed', reason: why });
    const lines = layerTable([row(0, null), row(1, reason)]).split('\n');
    expect(lines.at(-1)).toBe(`compressed (${reason}): conv1`);
  });

  it('shows the end of a name that a converter has put together from many', () => {
    const name = `${'model/batch_norm/FusedBatchNormV3;'.repeat(12)}model/conv2d_5/Conv2D`;
    const [, , line = '', note = ''] = layerTable([
      layerRow(0, { name, status: 'done', decision: 'dense', reason: 'depthwise convolution' }),
    ]).split('\n');
    expect(line).toMatch(/^….*;model\/conv2d_5\/Conv2D /);
    expect(line.length).toBeLessThan(140);
    expect(note).toMatch(/^dense \(depthwise convolution\): ….{59}$/);
  });
});

describe('the numbers of one point', () => {
  const shown = (fidelity: Metrics['fidelity']) => {
    const metrics = { ...testMetrics(), fidelity };
    return outcome([{ point: 1, target: { parameter_ratio: 2 }, model: null, metrics, verdict: null, error: null }]);
  };
  const fidelity = { top1_agreement: 0.97, relative_error: 0.12, samples: 100 };

  it('have their intervals beside agreement and error, where the report has them', () => {
    const intervals = { top1_agreement_ci95: [0.915, 0.99], relative_error_ci95: [0.1, 0.145] };
    const text = shown({ ...fidelity, ...intervals });
    expect(text).toContain('agreement   97.00 % of top-1 answers  (95 % interval 91.50 % to 99.00 %)\n');
    expect(text).toContain('outputs     relative error 0.1200  (95 % interval 0.1000 to 0.1450)\n');
    expect(shown(fidelity)).toContain('outputs     relative error 0.1200\n');
  });

  it('have them in a row of several points, too', () => {
    const rowOf = (top1: number | null) => {
      const of = { ...fidelity, top1_agreement: top1, relative_error_ci95: [0.1, 0.145] };
      const metrics = { ...testMetrics(), fidelity: { ...of, top1_agreement_ci95: [0.915, 0.99] } };
      const point = { point: 1, target: { parameter_ratio: 2 }, model: null, metrics, verdict: null, error: null };
      return outcome([point, { ...point, point: 2 }]);
    };
    expect(rowOf(null)).toContain('0.1200 (0.1000 to 0.1450)');
    expect(rowOf(0.97)).toContain('97.00 % (91.50 % to 99.00 %)');
  });
});

describe('the table of points', () => {
  const point = (number: number, change: Partial<Point>): Point => ({
    point: number,
    target: { parameter_ratio: 2 * number },
    model: number === 1 ? 'model.onnx' : `model-${number}.onnx`,
    metrics: {
      ...testMetrics(),
      latency: [1, 32].map((batch) => ({
        batch,
        before_ms: { p50: 2, p95: 3 },
        after_ms: { p50: 1, p95: 2 },
        speedup: 1.5,
        speedup_ci95: [1, 2],
        runs: 20,
      })),
      accuracy: { before: 0.9, after: 0.88, drop: 0.02, samples: 100 },
    },
    verdict: { passed: true, checks: [] },
    error: null,
    ...change,
  });
  const check = { name: 'constraints.max_accuracy_drop', required: 0.01, measured: 0.02, passed: false };
  const failed = point(2, { verdict: { passed: false, checks: [check] } });
  const missed = point(3, {
    model: null,
    metrics: null,
    verdict: null,
    error: { code: 'unreachable_target', detail: 'at most 3.1', origin: 'input', layer: null },
  });

  it('has a line for each, with what was measured, what failed and what cannot be reached', () => {
    const lines = outcome([point(1, {}), failed, missed]).split('\n');
    expect(lines[0]?.split(/  +/)).toEqual([
      ...[
        'point',
        'target',
        'parameters',
        'MACs',
        'file',
        'batch 1',
        'batch 32',
        'accuracy',
        'lost',
        'model',
        'verdict',
      ],
    ]);
    expect(lines[2]?.split(/  +/)).toEqual([
      ...['1', 'parameter_ratio 2', '4.00x', '4.00x', '4.00x', '1.50x', '1.50x', '88.00 %', '2.00 %'],
      ...['model.onnx', 'passed'],
    ]);
    expect(lines[3]).toMatch(/FAILED constraints.max_accuracy_drop$/);
    expect(lines[4]).toMatch(/^3 .* - +at most 3\.1$/);
    expect(lines.at(-1)).toBe('accuracy before: 90.00 %');
  });

  it('gives way to the full numbers when there is one point', () => {
    expect(outcome([point(1, {})])).toContain('parameters  100 -> 25  (4.00x)');
  });

  it('says what was measured on, and warns also where all is passed', () => {
    const verdict = {
      passed: true,
      checks: [],
      warnings: [{ code: 'outputs_moved' as const, cause: 'far away', next: 'ask for less' }],
    };
    const metrics = { ...testMetrics(), measured_on: { data: 'held_out' as const, samples: 51 } };
    const warned = { ...point(1, {}), metrics, verdict };
    expect(outcome([warned])).toContain('warning     outputs_moved: far away; ask for less');
    expect(outcome([warned])).toContain('on 51 calibration samples that were held out');
    const curve = outcome([warned, point(2, {})]).split('\n');
    expect(curve).toContain('measured on 51 calibration samples that were held out');
    expect(curve.at(-1)).toBe('point 1, warning     outputs_moved: far away; ask for less');
  });

  it('says why layers were not changed together', () => {
    const metrics = { ...testMetrics(), not_distilled: 'beyond_effort' as const };
    expect(outcome([{ ...point(1, {}), metrics }])).toMatch(/^distilled   no: .* a larger effort may bring it$/m);
  });

  it('is worth something when one of the points passes', () => {
    expect([somePasses([failed, point(1, {})]), somePasses([failed, missed]), somePasses([])]).toEqual([
      true,
      false,
      false,
    ]);
  });
});

describe('the lines of a local compression', () => {
  it('tell each end once, layers of the same name apart', () => {
    const lines: string[] = [];
    const progress = endsOnly((line) => void lines.push(line));
    for (const fraction of [0, 0.5, 1, 1]) progress('inspect', null, fraction, null);
    for (const index of [0, 1])
      for (const fraction of [0, 1, 1]) progress('layer', layerRow(index, { name: 'conv' }), fraction, null);
    for (const point of [1, 2]) for (const fraction of [0, 1, 1]) progress('assemble', null, fraction, point);
    expect(lines).toEqual([
      'inspect done',
      'layer conv done',
      'layer conv done',
      'assemble done',
      'assemble of point 2 done',
    ]);
  });
});
