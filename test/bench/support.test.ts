import { describe, expect, it } from 'vitest';
import { fittedExponent } from '../../bench/support/numbers.js';
import { lineChart, pensOf, powersOfTwo, ratioTicks, ticks } from '../../bench/support/plot.js';
import { listSchedule } from '../../bench/support/schedule.js';

describe('simulated pool', () => {
  const job = [[2], [1], [3, 3, 3, 3], [1]];

  it('takes the sum of all tasks on one worker', () => {
    expect(listSchedule([job], 1)).toEqual([16]);
    expect(Math.max(...listSchedule([job, job], 1))).toBe(32);
  });

  it('runs the layers of a job at the same time and its other steps one after the other', () => {
    expect(listSchedule([job], 2)).toEqual([10]);
    expect(listSchedule([job], 4)).toEqual([7]);
    expect(listSchedule([job], 64)).toEqual([7]);
  });

  it('starts nothing before the last layer has ended', () => {
    expect(listSchedule([[[1, 5], [1]]], 2)).toEqual([6]);
  });

  it('keeps workers busy with other jobs and leaves none of them idle while a task is ready', () => {
    const ends = listSchedule([job, job], 4);
    expect(Math.max(...ends)).toBeLessThanOrEqual(11);
    expect(Math.min(...ends)).toBeGreaterThanOrEqual(7);
  });

  it('skips steps without tasks', () => {
    expect(listSchedule([[[1], [], [2]]], 3)).toEqual([3]);
  });
});

describe('fitted exponent', () => {
  it('finds the power of a power law whatever its factor', () => {
    const points = [1, 2, 4, 8].map((x) => ({ x, y: 7 * x ** 1.5 }));
    expect(fittedExponent(points)).toBeCloseTo(1.5, 10);
  });

  it('is zero for what does not grow', () => {
    expect(fittedExponent([1, 3, 9].map((x) => ({ x, y: 2 })))).toBeCloseTo(0, 10);
  });
});

describe('line chart', () => {
  it('has round ticks between the ends', () => {
    expect(ticks(0, 1, 5)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
    expect(ticks(69.7, 94.4)).toEqual([70, 75, 80, 85, 90]);
    expect(powersOfTwo(1.9, 8.05)).toEqual([1, 2, 4, 8, 16]);
  });

  it('has more ticks between powers of two where the ratios are alike', () => {
    expect(ratioTicks(0.9, 3.2)).toEqual([1, 1.5, 2, 3]);
    expect(ratioTicks(1, 1.6)).toEqual([1, 1.25, 1.5]);
    expect(ratioTicks(0.9, 33)).toEqual([1, 2, 4, 8, 16, 32]);
  });

  it('draws a point for each value and escapes names', () => {
    const points = [
      { x: 2, y: 90 },
      { x: 4, y: 80 },
    ];
    const svg = lineChart([{ name: 'a < b & c', points }], { title: 't', x: 'x', y: 'y', level: { y: 93, name: 'l' } });
    // One of them is in the legend.
    expect(svg.match(/<circle/g)).toHaveLength(3);
    expect(svg).toContain('a &lt; b &amp; c');
    expect(svg).not.toContain('NaN');
  });

  it('says by shape what lies below the chart, by a hollow one what was not reached, and by a line where a value may lie', () => {
    const points = [
      { x: 2, y: 90, range: [1.8, 2.3] as const },
      { x: 4, y: 20 },
      { x: 5, y: 88, hollow: true },
    ];
    const svg = lineChart([{ name: 'a', points, main: true }], {
      title: 't',
      x: 'x',
      y: 'y',
      floor: 80,
      notes: ['n < 3'],
    });
    expect(svg.match(/<polygon/g)).toHaveLength(1);
    expect(svg.match(/fill="white" stroke=/g)).toHaveLength(1);
    expect(svg.match(/stroke-opacity/g)).toHaveLength(1);
    expect(svg).toContain('n &lt; 3');
    expect(svg).not.toContain('>60<');
  });

  it('tells more series apart than it has colours', () => {
    const pens = pensOf(Array.from({ length: 14 }, (_, i) => ({ name: String(i), points: [] })));
    expect(new Set(pens.map(({ colour, shape }) => `${colour} ${shape}`)).size).toBe(14);
  });

  it('does not fail on a single value', () => {
    const chart = lineChart([{ name: 'a', points: [{ x: 4, y: 90 }] }], { title: 't', x: 'x', y: 'y' });
    expect(chart).not.toContain('NaN');
  });
});
