import { writeFileSync } from 'node:fs';

export interface Series {
  name: string;
  points: PlotPoint[];
  /** What the chart is about: a thicker line than the others, which are dashed where there are any such. */
  main?: boolean;
}

export interface PlotPoint {
  x: number;
  y: number;
  /** Where x may lie: a thin line. */
  range?: readonly [number, number];
  /** Drawn hollow: it is not what was asked for. */
  hollow?: boolean;
}

export interface PlotOptions {
  title: string;
  x: string;
  y: string;
  /** A horizontal line, such as the accuracy of the original. */
  level?: { y: number; name: string };
  /** What lies below it is drawn at the lower edge, pointing down: a useless network would flatten all others. */
  floor?: number;
  /** Lines below the chart. */
  notes?: readonly string[];
}

const MARGIN = { left: 64, top: 40, bottom: 52 };
const PLOT = { width: 430, height: 308 };
const LEGEND_ROW = 20;
const NOTE_ROW = 16;
/** Of a letter of the legend, on average. */
const LETTER = 6.2;
const SHORTEST_NAME = 20;
// Distinguishable without red and green (Okabe and Ito 2008).
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000'];
// As many as have no divisor in common with the colours: 35 series differ in colour or shape.
const SHAPES = ['circle', 'square', 'triangle', 'diamond', 'cross'] as const;
export type Shape = (typeof SHAPES)[number] | 'below';

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

/** Powers of two, and what lies between them where there are few. */
export function ratioTicks(low: number, high: number): number[] {
  const octaves = Math.log2(high / low);
  const parts = octaves > 3.5 ? [1] : octaves > 1.2 ? [1, 1.5] : [1, 1.25, 1.5, 1.75];
  const all = powersOfTwo(low, high).flatMap((power) => parts.map((part) => power * part));
  return all.filter((x) => x >= low * (1 - 1e-9) && x <= high * (1 + 1e-9));
}

const OUTLINES: Readonly<Record<Exclude<Shape, 'circle'>, readonly (readonly [number, number])[]>> = {
  square: [[-1, -1], [1, -1], [1, 1], [-1, 1]], // prettier-ignore
  triangle: [[0, -1.2], [1.2, 1], [-1.2, 1]], // prettier-ignore
  diamond: [[0, -1.4], [1.4, 0], [0, 1.4], [-1.4, 0]], // prettier-ignore
  below: [[0, 1.2], [1.2, -1], [-1.2, -1]], // prettier-ignore
  cross: [[-1.2, -0.4], [-0.4, -0.4], [-0.4, -1.2], [0.4, -1.2], [0.4, -0.4], [1.2, -0.4], [1.2, 0.4], [0.4, 0.4], [0.4, 1.2], [-0.4, 1.2], [-0.4, 0.4], [-1.2, 0.4]], // prettier-ignore
};

function marker(
  shape: Shape,
  [x, y]: readonly [number, number],
  { colour, hollow }: Pen & { hollow: boolean },
): string {
  const paint = `fill="${hollow ? 'white' : colour}" stroke="${colour}" stroke-width="1.5"`;
  if (shape === 'circle') return `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="3.5" ${paint}/>`;
  const corners = OUTLINES[shape].map(([dx, dy]) => `${(x + 3.4 * dx).toFixed(1)},${(y + 3.4 * dy).toFixed(1)}`);
  return `<polygon points="${corners.join(' ')}" ${paint}/>`;
}

export interface Pen {
  colour: string;
  shape: Shape;
  line: string;
}

/** Colour, shape and dashes, so that series are told apart in any of the three. */
export function pensOf(series: readonly Series[]): Pen[] {
  const some = series.some(({ main }) => main === true);
  return series.map(({ main }, i) => {
    const colour = COLOURS[i % COLOURS.length] ?? 'black';
    const line =
      main === true ? 'stroke-width="2.5"' : some ? 'stroke-width="1.3" stroke-dasharray="6 3"' : 'stroke-width="2"';
    return { colour, shape: SHAPES[i % SHAPES.length] ?? 'circle', line: `stroke="${colour}" fill="none" ${line}` };
  });
}

interface Scale {
  atX: (x: number) => number;
  atY: (y: number) => number;
  /** The lowest value that is drawn where it is. */
  lowest: number;
  columns: number[];
  rows: number[];
}

function scaleOf(series: readonly Series[], { level, floor = -Infinity }: PlotOptions): Scale {
  const points = series.flatMap((s) => s.points);
  const across = points.flatMap(({ x, range }) => [x, ...(range ?? [])]).filter((x) => x > 0);
  const [least, most] = [Math.min(1, ...across), Math.max(1, ...across)];
  const margin = (most / least) ** 0.03 * 1.01;
  const [left, right] = [Math.log2(least / margin), Math.log2(most * margin)];
  const heights = [...points.map((p) => p.y), ...(level === undefined ? [] : [level.y])];
  const low = Math.max(floor, Math.min(...heights));
  const high = Math.max(low, ...heights);
  const pad = 0.05 * (high - low || 1);
  return {
    atX: (x) => MARGIN.left + (PLOT.width * (Math.log2(x) - left)) / (right - left),
    atY: (y) => MARGIN.top + PLOT.height * (1 - (Math.max(y, low) - low + pad) / (high - low + 2 * pad)),
    lowest: low,
    columns: ratioTicks(2 ** left, 2 ** right),
    rows: ticks(low - pad, high + pad),
  };
}

function grid({ atX, atY, columns, rows }: Scale): string[] {
  const [end, bottom] = [MARGIN.left + PLOT.width, MARGIN.top + PLOT.height];
  const line = (from: string, to: string, stroke: string) => `<path d="M${from} L${to}" stroke="${stroke}"/>`;
  const at = (x: number, y: number) => `${x.toFixed(1)} ${y.toFixed(1)}`;
  return [
    ...columns.flatMap((x) => [
      line(at(atX(x), MARGIN.top), at(atX(x), bottom), x === 1 ? '#b0b0b0' : '#e5e5e5'),
      text(atX(x), bottom + 18, `${String(x)}x`, 'text-anchor="middle"'),
    ]),
    ...rows.flatMap((y) => [
      line(at(MARGIN.left, atY(y)), at(end, atY(y)), '#e5e5e5'),
      text(MARGIN.left - 6, atY(y) + 4, String(y), 'text-anchor="end"'),
    ]),
  ];
}

function curve({ points }: Series, pen: Pen, { atX, atY, lowest }: Scale): string[] {
  const sorted = [...points].sort((a, b) => a.x - b.x);
  const places = sorted.map(({ x, y }) => `${atX(x).toFixed(1)},${atY(y).toFixed(1)}`);
  return [
    `<polyline points="${places.join(' ')}" ${pen.line}/>`,
    ...sorted.flatMap(({ x, y, range, hollow = false }) => {
      const height = atY(y).toFixed(1);
      const [from, to] = range?.map((end) => atX(end).toFixed(1)) ?? [];
      return [
        ...(from === undefined || to === undefined
          ? []
          : [`<path d="M${from} ${height} H${to}" stroke="${pen.colour}" stroke-opacity="0.5"/>`]),
        marker(y < lowest ? 'below' : pen.shape, [atX(x), atY(y)], { ...pen, hollow }),
      ];
    }),
  ];
}

/** A line chart as SVG, ratios on a logarithmic x axis. Its background makes it legible on pages of any colour. */
export function lineChart(series: readonly Series[], options: PlotOptions): string {
  const { title, level, notes = [] } = options;
  const scale = scaleOf(series, options);
  const pens = pensOf(series);
  const [end, bottom] = [MARGIN.left + PLOT.width, MARGIN.top + PLOT.height];
  const longest = Math.max(SHORTEST_NAME, ...series.map(({ name }) => name.length));
  const width = Math.round(end + 44 + LETTER * longest);
  const legendEnd = MARGIN.top + 30 + LEGEND_ROW * series.length;
  const height = Math.max(bottom + MARGIN.bottom + NOTE_ROW * notes.length, legendEnd + 10);
  const middle = MARGIN.top + PLOT.height / 2;
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${String(width)} ${String(height)}" width="${String(width)}" height="${String(height)}" font-family="sans-serif" font-size="12">`,
    `<rect width="${String(width)}" height="${String(height)}" fill="white"/>`,
    text(MARGIN.left, 22, title, 'font-size="14" font-weight="bold"'),
    ...grid(scale),
    text(MARGIN.left + PLOT.width / 2, bottom + 38, options.x, 'text-anchor="middle"'),
    text(16, middle, options.y, `text-anchor="middle" transform="rotate(-90 16 ${middle.toFixed(1)})"`),
    ...notes.map((note, i) => text(MARGIN.left, bottom + 56 + NOTE_ROW * i, note, 'fill="#555" font-size="11"')),
  ];
  if (level !== undefined) {
    const at = scale.atY(level.y);
    const path = `M${String(MARGIN.left)} ${at.toFixed(1)} H${String(end)}`;
    parts.push(`<path d="${path}" stroke="#666" stroke-dasharray="2 3"/>`);
    parts.push(text(end + 10, at + 4, level.name, 'fill="#555"'));
  }
  // What the chart is about lies on top of the others.
  const order = series.map((one, i) => ({ one, pen: pens[i] })).sort((a, b) => Number(a.one.main) - Number(b.one.main));
  for (const { one, pen } of order) if (pen !== undefined) parts.push(...curve(one, pen, scale));
  series.forEach(({ name }, i) => {
    const [pen, row] = [pens[i], MARGIN.top + 36 + LEGEND_ROW * i];
    if (pen === undefined) return;
    parts.push(`<path d="M${String(end + 10)} ${String(row)} h22" ${pen.line}/>`);
    parts.push(marker(pen.shape, [end + 21, row], { ...pen, hollow: false }), text(end + 38, row + 4, name));
  });
  return [...parts, '</svg>', ''].join('\n');
}

export function writeChart(path: string, series: readonly Series[], options: PlotOptions): void {
  writeFileSync(path, lineChart(series, options));
}
