import { writeFileSync } from 'node:fs';

export interface Series {
  name: string;
  points: { x: number; y: number }[];
}

export interface PlotOptions {
  title: string;
  x: string;
  y: string;
  /** A horizontal line, such as the accuracy of the original. */
  level?: { y: number; name: string };
}

const WIDTH = 640;
const HEIGHT = 400;
const MARGIN = { left: 64, right: 190, top: 40, bottom: 52 };
// Distinguishable without red and green (Okabe and Ito 2008).
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000'];

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
const text = (x: number, y: number, content: string, attributes = ''): string =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${attributes}>${escaped(content)}</text>`;

/** Steps of 1, 2 or 5 times a power of ten, about `count` of them between the ends. */
export function ticks(low: number, high: number, count = 6): number[] {
  if (!(high > low)) return [low];
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((s) => s * power >= rough) ?? 10) * power;
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** Powers of two between the ends, both included. */
export function powersOfTwo(low: number, high: number): number[] {
  const first = Math.floor(Math.log2(low));
  const last = Math.ceil(Math.log2(high));
  return Array.from({ length: last - first + 1 }, (_, i) => 2 ** (first + i));
}

/** A line chart as SVG, ratios on a logarithmic x axis. */
export function lineChart(series: readonly Series[], options: PlotOptions): string {
  const points = series.flatMap((s) => s.points);
  const columns = powersOfTwo(Math.min(...points.map((p) => p.x)), Math.max(...points.map((p) => p.x)));
  const heights = [...points.map((p) => p.y), ...(options.level === undefined ? [] : [options.level.y])];
  const [low, high] = [Math.min(...heights), Math.max(...heights)];
  const pad = 0.05 * (high - low || 1);
  const plotWidth = WIDTH - MARGIN.left - MARGIN.right;
  const plotHeight = HEIGHT - MARGIN.top - MARGIN.bottom;
  const [left, right] = [Math.log2(columns[0] ?? 1), Math.log2(columns.at(-1) ?? 2)];
  const atX = (x: number): number => MARGIN.left + (plotWidth * (Math.log2(x) - left)) / (right - left || 1);
  const atY = (y: number): number => MARGIN.top + plotHeight * (1 - (y - low + pad) / (high - low + 2 * pad));
  const end = MARGIN.left + plotWidth;
  const floor = MARGIN.top + plotHeight;
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${String(WIDTH)} ${String(HEIGHT)}" font-family="sans-serif" font-size="12">`,
    `<rect width="${String(WIDTH)}" height="${String(HEIGHT)}" fill="white"/>`,
    text(MARGIN.left, 22, options.title, 'font-size="14" font-weight="bold"'),
  ];
  for (const x of columns) {
    const at = atX(x).toFixed(1);
    parts.push(`<line x1="${at}" y1="${String(MARGIN.top)}" x2="${at}" y2="${String(floor)}" stroke="#e5e5e5"/>`);
    parts.push(text(atX(x), floor + 18, `${String(x)}x`, 'text-anchor="middle"'));
  }
  for (const y of ticks(low - pad, high + pad)) {
    const at = atY(y).toFixed(1);
    parts.push(`<line x1="${String(MARGIN.left)}" y1="${at}" x2="${String(end)}" y2="${at}" stroke="#e5e5e5"/>`);
    parts.push(text(MARGIN.left - 6, atY(y) + 4, String(y), 'text-anchor="end"'));
  }
  parts.push(text(MARGIN.left + plotWidth / 2, HEIGHT - 12, options.x, 'text-anchor="middle"'));
  const middle = MARGIN.top + plotHeight / 2;
  parts.push(text(16, middle, options.y, `text-anchor="middle" transform="rotate(-90 16 ${middle.toFixed(1)})"`));
  if (options.level !== undefined) {
    const at = atY(options.level.y).toFixed(1);
    parts.push(
      `<line x1="${String(MARGIN.left)}" y1="${at}" x2="${String(end)}" y2="${at}" stroke="#666" stroke-dasharray="5 4"/>`,
      text(end + 10, atY(options.level.y) + 4, options.level.name, 'fill="#666"'),
    );
  }
  series.forEach(({ name, points: own }, i) => {
    const colour = COLOURS[i % COLOURS.length] ?? 'black';
    const places = [...own].sort((a, b) => a.x - b.x).map((p) => `${atX(p.x).toFixed(1)},${atY(p.y).toFixed(1)}`);
    parts.push(`<polyline points="${places.join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>`);
    for (const place of places) {
      const [x, y] = place.split(',');
      parts.push(`<circle cx="${x ?? ''}" cy="${y ?? ''}" r="3.5" fill="${colour}"/>`);
    }
    const row = MARGIN.top + 30 + 20 * i;
    parts.push(`<rect x="${String(end + 10)}" y="${String(row)}" width="12" height="12" fill="${colour}"/>`);
    parts.push(text(end + 28, row + 10, name));
  });
  return [...parts, '</svg>', ''].join('\n');
}

export function writeChart(path: string, series: readonly Series[], options: PlotOptions): void {
  writeFileSync(path, lineChart(series, options));
}
