import cliProgress from 'cli-progress';
import type { JobView } from '../../api/jobs/schema.js';
import type { LayerRow } from '../../jobs/results.js';
import { hasEnded, newlyDone, outcomeOf, type Display } from './follow.js';

/** Clears what a line of the bars below leaves behind a shorter one. */
const CLEAR_TO_END = '\u001b[K';
/** Names of running layers that fit on a line. */
const NAMES = 3;

function duration(seconds: number): string {
  return seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;
}

function jobNote({ status, phase, progress }: JobView): string {
  if (status !== 'running') return status;
  const { layers_done, layers_total, eta_seconds } = progress;
  const step = phase === 'layers' ? `layers, ${layers_done} of ${layers_total} done` : phase;
  // Before the layers are known nobody can tell how long they take.
  return `${step}${eta_seconds === null || layers_total === 0 ? '' : `, about ${duration(eta_seconds)} left`}`;
}

function runningNote(view: JobView, rows: LayerRow[]): string {
  const names = hasEnded(view) ? [] : rows.filter(({ status }) => status === 'running').map(({ name }) => name);
  if (names.length === 0) return '';
  const more = names.length > NAMES ? ` and ${names.length - NAMES} more` : '';
  return `solving ${names.slice(0, NAMES).join(', ')}${more}`;
}

/**
 * One bar for the job, the layers in work below it, and above it a line for each that is done: they scroll away, so a
 * network with more layers than the terminal has lines is no trouble.
 */
export function bars(stream: NodeJS.WritableStream = process.stderr): Display {
  const multi = new cliProgress.MultiBar(
    { stream, hideCursor: true, clearOnComplete: false, barsize: 24, emptyOnZero: true },
    cliProgress.Presets.shades_classic,
  );
  const job = multi.create(
    100,
    0,
    { note: '' },
    {
      format: (options, { progress }, { note }: { note: string }) => {
        const percent = String(Math.round(progress * 100)).padStart(3);
        return ` ${cliProgress.Format.BarFormat(progress, options)} ${percent} %  ${note}`;
      },
    },
  );
  const running = multi.create(1, 0, { note: '' }, { format: (_, _params, { note }: { note: string }) => ` ${note}` });
  const done = new Set<number>();
  let stopped = false;
  return {
    show(view, rows) {
      if (stopped) return;
      const width = Math.max(0, ...rows.map(({ name }) => name.length));
      for (const row of newlyDone(rows, done))
        multi.log(` ${row.name.padEnd(width)}  ${outcomeOf(row)}${CLEAR_TO_END}\n`);
      job.update(Math.round(view.progress.fraction * 100), { note: jobNote(view) });
      running.update(0, { note: runningNote(view, rows) });
    },
    stop() {
      if (stopped) return;
      stopped = true;
      // Stopping alone would not show the lines logged since the last redraw.
      multi.update();
      multi.remove(running);
      multi.stop();
    },
  };
}
