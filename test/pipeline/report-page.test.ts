import { describe, expect, it } from 'vitest';
import type { LayerRow } from '../../src/jobs/results.js';
import type { MeasuredPoint } from '../../src/jobs/tasks.js';
import { reportPage } from '../../src/pipeline/steps/evaluate/report-page/page.js';
import type { Report } from '../../src/pipeline/steps/evaluate/report.js';
import { layerRow, testMetrics, testSpec } from '../support/jobs.js';

const point = (number: number): MeasuredPoint => ({
  point: number,
  model: number === 1 ? 'model.onnx' : `model-${String(number)}.onnx`,
  metrics: testMetrics(),
  verdict: { passed: true, checks: [{ name: 'target.parameter_ratio', required: 4, measured: 4.1, passed: true }] },
  layers: [layerRow(0, { name: 'features.0' })],
});

function page({
  filename = 'net.onnx',
  points = [1],
  layers = point(1).layers,
  failed = false,
  fidelity = testMetrics().fidelity,
} = {}): string {
  const measured = points.map(point);
  const { verdict } = point(1);
  const metrics = { ...testMetrics(), fidelity };
  const report: Report = {
    job_id: 'job_1',
    version: '1.2.3',
    labels: {},
    spec: testSpec(),
    model: { name: filename } as unknown as Report['model'],
    metrics,
    verdict: failed
      ? {
          passed: false,
          checks: [{ name: 'max_accuracy_drop', required: 0.01, measured: null, passed: false }],
          warnings: [{ code: 'few_samples', cause: 'only 12 samples were measured', next: 'send more' }],
        }
      : verdict,
    layers,
    points: [
      ...measured.map((found) => ({ target: { parameter_ratio: 4 }, error: null, ...found })),
      ...(points.length > 1
        ? [{ point: 9, target: { speedup: 100 }, error: { code: 'unreachable_target', detail: 'at most 3 here' } }]
        : []),
    ] as Report['points'],
  };
  return reportPage({ report, measured, filename });
}

describe('the page of a report', () => {
  it('is one file that asks no other host for anything, and runs nothing', () => {
    const html = page({ points: [1, 2] });
    expect(html).toMatch(/^<!doctype html>\n<html lang="en">/);
    expect(html).toContain('default-src &#x27;none&#x27;; style-src &#x27;unsafe-inline&#x27;');
    expect(html).not.toMatch(/<script|<link|<img|<iframe|@import|url\(|\son\w+=/i);
    const addresses = [...html.matchAll(/https?:\/\/[^"' <)]+/g)].map(([address]) => address);
    expect(addresses.filter((address) => address !== 'http://www.w3.org/2000/svg')).toEqual([]);
  });

  it('names all nodes of a layer whose weights several nodes read', () => {
    const nodes = ['head/p3', 'head/p4', 'head/<p5>'];
    const html = page({ layers: [layerRow(0, { name: 'head/p3', nodes })] });
    expect(html).toContain('weights of head/p3, head/p4, head/&lt;p5&gt;');
  });

  it('escapes what a model or a client names', () => {
    const evil = '<script>alert(1)</script>"&';
    const layers: LayerRow[] = [layerRow(0, { name: evil, reason: evil })];
    const html = page({ filename: evil, layers });
    expect(html).not.toContain('<script');
    expect(html).toContain('&lt;script&gt;alert(1)&lt;/script&gt;&quot;&amp;');
  });

  it('says what was asked and measured, what failed and what to do', () => {
    const html = page({ failed: true });
    expect(html).toContain('max_accuracy_drop: 0.01 asked, not measured');
    expect(html).toContain('only 12 samples were measured. What to do: send more.');
    expect(html).not.toMatch(/NaN|undefined|Infinity|\[object/);
  });

  it('has the interval of error and agreement beside them', () => {
    const fidelity = { top1_agreement: 0.97, top1_agreement_ci95: [0.915, 0.99], samples: 100 };
    const html = page({ fidelity: { ...fidelity, relative_error: 0.12, relative_error_ci95: [0.1, 0.145] } });
    expect(html).toContain('95 % interval 91.50 % to 99.00 %');
    expect(html).toContain('95 % interval 0.1000 to 0.1450');
    expect(page()).not.toContain('95 % interval');
  });

  it('has the curve and a row for every point, also for one that was not reached', () => {
    const html = page({ points: [1, 2] });
    expect(html.match(/<circle/g)).toHaveLength(3);
    expect(html).toContain('model-2.onnx');
    expect(html).toContain('at most 3 here');
    expect(page()).not.toContain('<circle');
  });
});
