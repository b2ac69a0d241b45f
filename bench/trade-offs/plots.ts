/** The points of a network as curves: how good the outputs are, over speed and over bytes. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { writeChart, type PlotPoint, type Series } from '../support/plot.js';
import type { Measurement, Point } from './measure.js';

interface Quality {
  name: string;
  original: number;
  /** Further below the original networks are of little use, and would flatten the curves of the others. */
  depth: number;
  of: (measured: Measurement) => number;
}

/** Accuracy where the data has labels, agreement of classes without them, else what is left of the outputs. */
function qualityOf(points: readonly Measurement[]): Quality {
  const [first] = points;
  if (first?.accuracy) {
    const original = 100 * first.accuracy.before;
    return { name: 'accuracy %', original, depth: 12, of: ({ accuracy }) => 100 * (accuracy?.after ?? NaN) };
  }
  const original = 100;
  if (first?.agreement != null) {
    const of = ({ agreement }: Measurement) => 100 * (agreement ?? NaN);
    return { name: 'agreement with the original %', original, depth: 20, of };
  }
  return { name: '100 % - relative error of the outputs', original, depth: 50, of: ({ error }) => 100 * (1 - error) };
}

const speedAt = ({ speed }: Measurement, batch: number) => speed.find((s) => s.batch === batch) ?? speed[0];

/** Writes the charts of one network; returns their paths. */
export function writePlots(
  network: string,
  points: readonly Point[],
  { folder, batches }: { folder: string; batches: readonly number[] },
): string[] {
  const measured = points.flatMap((point) => point.measured ?? []);
  if (measured.length === 0) return [];
  mkdirSync(folder, { recursive: true });
  const quality = qualityOf(measured);
  const seriesOver = (x: (of: Measurement) => Omit<PlotPoint, 'y' | 'hollow'>): Series[] => {
    const methods = [...new Set(points.map(({ method }) => method))];
    const all = methods.map((name): Series => {
      const own = points.filter(({ method }) => method === name);
      return {
        name,
        main: name.startsWith('Sparank'),
        points: own.flatMap(({ measured: of, missed = false }) =>
          of === undefined ? [] : [{ ...x(of), y: quality.of(of), hollow: missed }],
        ),
      };
    });
    // A network that broke has no number: it is in the table.
    return all
      .map((one) => ({ ...one, points: one.points.filter(({ x: at, y }) => at > 0 && Number.isFinite(y)) }))
      .filter((one) => one.points.length > 0);
  };
  const floor = quality.original - quality.depth;
  const notes = [
    ...(points.some(({ missed }) => missed) ? ['Hollow: the target was not reached, this came nearest.'] : []),
    ...(measured.some((of) => quality.of(of) < floor) ? [`Pointing down: below ${floor.toFixed(1)} %.`] : []),
  ];
  const level = { y: quality.original, name: 'the original' };
  const [samples] = measured.map((of) => of.samples);
  const write = (what: string, x: string, series: Series[]): string => {
    const path = join(folder, `${network}-${what}.svg`);
    const title = `${network}: ${String(samples)} samples that no method has seen`;
    writeChart(path, series, { title, x, y: quality.name, level, floor, notes });
    return path;
  };
  const [first = 1, ...others] = batches;
  const speed = (batch: number) =>
    seriesOver((of) => {
      const found = speedAt(of, batch);
      return found === undefined ? { x: NaN } : { x: found.ratio, range: found.range };
    });
  return [
    write('speed', `times as fast, batch ${String(first)}`, speed(first)),
    ...others.map((batch) => {
      return write(`speed-${String(batch)}`, `times as fast, batch ${String(batch)}`, speed(batch));
    }),
    write(
      'bytes',
      'times fewer bytes',
      seriesOver(({ bytes }) => ({ x: bytes })),
    ),
  ];
}
