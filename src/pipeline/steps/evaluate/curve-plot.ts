import { writeFile } from 'node:fs/promises';
import type { MeasuredPoint } from '../../../jobs/tasks.js';

const WIDTH = 640;
const HEIGHT = 400;
const MARGIN = { left: 70, right: 30, top: 30, bottom: 55 };
const TICKS = 5;

/**
 * The trade-off curve as a picture: the parameter ratio, logarithmic, against the accuracy, or against the agreement of the outputs with
 * the original's where there are no labels.
 */
export async function writeCurve(path: string, points: readonly MeasuredPoint[]): Promise<void> {
  await writeFile(path, curveSvg(points));
}

export function curveSvg(points: readonly MeasuredPoint[]): string {
  const labelled = points.every(({ metrics }) => metrics.accuracy !== null);
  const quality = ({ metrics: { accuracy, fidelity } }: MeasuredPoint) =>
    100 * (labelled && accuracy !== null ? accuracy.after : 1 - fidelity.relative_error);
  const before = labelled ? 100 * (points[0]?.metrics.accuracy?.before ?? 1) : 100;
  const dots = points
    .map((p) => ({ label: String(p.point), ratio: p.metrics.parameters.ratio, y: quality(p) }))
    .sort((a, b) => a.ratio - b.ratio);
  const all = [{ label: 'dense', ratio: 1, y: before }, ...dots];
  const xs = scale(
    all.map(({ ratio }) => Math.log2(ratio)),
    MARGIN.left,
    WIDTH - MARGIN.right,
  );
  const ys = scale(
    all.map(({ y }) => y),
    HEIGHT - MARGIN.bottom,
    MARGIN.top,
  );
  const at = ({ ratio, y }: { ratio: number; y: number }) => `${fixed(xs.at(Math.log2(ratio)))},${fixed(ys.at(y))}`;
  const bottom = HEIGHT - MARGIN.bottom;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>`,
    ...xs.ticks.map((t) => text(xs.at(t), bottom + 18, `${(2 ** t).toFixed(1)}x`, 'middle')),
    ...ys.ticks.map(
      (t) =>
        `<path d="M${MARGIN.left} ${fixed(ys.at(t))}H${WIDTH - MARGIN.right}" stroke="#ddd"/>` +
        text(MARGIN.left - 8, ys.at(t) + 4, t.toFixed(2), 'end'),
    ),
    text((MARGIN.left + WIDTH - MARGIN.right) / 2, HEIGHT - 12, 'times fewer parameters', 'middle'),
    text(MARGIN.left, 18, labelled ? 'accuracy in %' : '100 % less the relative error of the outputs', 'start'),
    `<polyline points="${all.map(at).join(' ')}" fill="none" stroke="#1f5fa8" stroke-width="2"/>`,
    ...all.map(
      (dot) =>
        `<circle cx="${fixed(xs.at(Math.log2(dot.ratio)))}" cy="${fixed(ys.at(dot.y))}" r="4" fill="#1f5fa8"/>` +
        text(xs.at(Math.log2(dot.ratio)), ys.at(dot.y) - 9, dot.label, 'middle'),
    ),
    '</svg>',
    '',
  ].join('\n');
}

const fixed = (value: number) => value.toFixed(1);

const text = (x: number, y: number, content: string, anchor: 'start' | 'middle' | 'end') =>
  `<text x="${fixed(x)}" y="${fixed(y)}" text-anchor="${anchor}">${content}</text>`;

/** Linear from the range of `values`, a little widened, to the pixels from `from` to `to`. */
function scale(values: readonly number[], from: number, to: number) {
  const least = Math.min(...values);
  const span = Math.max(...values) - least || 1;
  const low = least - 0.06 * span;
  const width = 1.12 * span;
  return {
    at: (value: number) => from + ((value - low) / width) * (to - from),
    ticks: Array.from({ length: TICKS }, (_, i) => least + (span * i) / (TICKS - 1)),
  };
}
