import { writeFile } from 'node:fs/promises';
import { renderToStaticMarkup } from 'react-dom/server';
import type { MeasuredPoint } from '../../../jobs/tasks.js';

const WIDTH = 640;
const HEIGHT = 400;
const MARGIN = { left: 70, right: 30, top: 30, bottom: 55 };
const TICKS = 5;

/** Looks the same wherever the file is opened; in a page the page's own style comes on top. */
const STYLE =
  'text{font:12px sans-serif}.paper{fill:#fff}.grid{stroke:#ddd}.curve{stroke:#1f5fa8;fill:none;stroke-width:2}.dot{fill:#1f5fa8}';

/** The trade-off curve as a picture of its own. */
export async function writeCurve(path: string, points: readonly MeasuredPoint[]): Promise<void> {
  await writeFile(path, curveSvg(points));
}

export const curveSvg = (points: readonly MeasuredPoint[]): string =>
  `${renderToStaticMarkup(<Curve points={points} style={STYLE} />)}\n`;

/**
 * The trade-off curve: the parameter ratio, logarithmic, against the accuracy, or against the agreement of the outputs
 * with the original's where there are no labels.
 */
export function Curve({ points, style }: { points: readonly MeasuredPoint[]; style?: string }) {
  const labelled = points.every(({ metrics }) => metrics.accuracy !== null);
  const quality = ({ metrics: { accuracy, fidelity } }: MeasuredPoint) =>
    100 * (labelled && accuracy !== null ? accuracy.after : 1 - fidelity.relative_error);
  const before = labelled ? 100 * (points[0]?.metrics.accuracy?.before ?? 1) : 100;
  const reached = points
    .map((p) => ({ label: String(p.point), ratio: p.metrics.parameters.ratio, y: quality(p) }))
    .sort((a, b) => a.ratio - b.ratio);
  const all = [{ label: 'dense', ratio: 1, y: before }, ...reached];
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
  const bottom = HEIGHT - MARGIN.bottom;
  const dots = all.map(({ label, ratio, y }) => ({ label, x: fixed(xs.at(Math.log2(ratio))), y: fixed(ys.at(y)) }));
  const yTitle = labelled ? 'accuracy in %' : '100 % less the relative error of the outputs';
  return (
    <svg
      xmlns="http://www.w3.org/2000/svg"
      viewBox={`0 0 ${String(WIDTH)} ${String(HEIGHT)}`}
      className="plot"
      role="img"
      aria-label={`${yTitle} over times fewer parameters`}
    >
      {style === undefined ? null : <style>{style}</style>}
      <rect className="paper" width={WIDTH} height={HEIGHT} />
      {xs.ticks.map((t) => (
        <text key={t} x={fixed(xs.at(t))} y={bottom + 18} textAnchor="middle">
          {`${(2 ** t).toFixed(1)}x`}
        </text>
      ))}
      {ys.ticks.map((t) => (
        <g key={t}>
          <path className="grid" d={`M${String(MARGIN.left)} ${fixed(ys.at(t))}H${String(WIDTH - MARGIN.right)}`} />
          <text x={MARGIN.left - 8} y={fixed(ys.at(t) + 4)} textAnchor="end">
            {t.toFixed(2)}
          </text>
        </g>
      ))}
      <text x={(MARGIN.left + WIDTH - MARGIN.right) / 2} y={HEIGHT - 12} textAnchor="middle">
        times fewer parameters
      </text>
      <text x={MARGIN.left} y={18}>
        {yTitle}
      </text>
      <polyline className="curve" points={dots.map(({ x, y }) => `${x},${y}`).join(' ')} />
      {dots.map(({ label, x, y }) => (
        <g key={label}>
          <circle className="dot" cx={x} cy={y} r={4} />
          <text x={x} y={fixed(Number(y) - 9)} textAnchor="middle">
            {label}
          </text>
        </g>
      ))}
    </svg>
  );
}

const fixed = (value: number) => value.toFixed(1);

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
